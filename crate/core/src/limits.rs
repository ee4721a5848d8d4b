//! Every limit of the core in one place, so that no queue, frame, retry or wait is without one.

/// The longest document name, in bytes of UTF-8.
pub const DOC_NAME_BYTES_MAX: usize = 256;
/// The longest database name, in bytes of UTF-8.
pub const DATABASE_NAME_BYTES_MAX: usize = 128;
/// The longest WebSocket message that either side accepts.
pub const FRAME_BYTES_MAX: usize = 1 << 20;
/// The most that one write may weigh, all its parts and names together. It fits a frame and a log row with room to
/// spare, so a write that was accepted locally is never refused for its size later.
pub const WRITE_BYTES_MAX: usize = 896 << 10;
/// The weight at which a gathered frame or log row is closed and the next one begun.
pub const BATCH_BYTES_TARGET: usize = 256 << 10;
/// The most writes in one frame or log row.
pub const BATCH_WRITES_MAX: usize = 4096;
/// The most documents in one frame or log row: no more fit one of the target weight, so what was gathered reads back.
pub const BATCH_DOCS_MAX: usize = BATCH_BYTES_TARGET / 5;
/// The most documents that one write may touch.
pub const WRITE_PARTS_MAX: usize = 256;
/// The most documents on one connection.
pub const SUBSCRIPTIONS_MAX: usize = 10_000;
/// The most links to peers, and the most replicas of which it is remembered what they have stored.
pub const PEERS_MAX: usize = 256;
/// The most origins that one message between peers names.
pub const PEER_ORIGINS_MAX: usize = 60_000;
/// The longest token that a peer shows.
pub const PEER_TOKEN_BYTES_MAX: usize = 8 << 10;
/// The most documents that one message between peers names.
pub const DOCS_TOLD_MAX: usize = 10_000;
/// The most logs that one frontier may name (epochs and origins each).
pub const FRONTIER_LOGS_MAX: usize = 1024;
/// The longest text in an error frame.
pub const MESSAGE_BYTES_MAX: usize = 1024;
/// The most extension fields in a handshake frame, each at most `EXTENSION_BYTES_MAX`.
pub const EXTENSIONS_MAX: usize = 16;
/// The largest handshake extension.
pub const EXTENSION_BYTES_MAX: usize = 8 << 10;
/// Unsent writes that one replica keeps. Beyond it a write is refused before it is applied.
pub const OUTBOX_BYTES_MAX: usize = 256 << 20;
/// Bytes pushed and not yet acknowledged; more waits in the outbox until acknowledgements come.
pub const PUSH_WINDOW_BYTES: usize = 4 << 20;
/// Bytes that a node gathers for the next commit. A push beyond it is answered with `BUSY` and resent later. During a
/// commit they are there up to three times, which must fit an isolate of 128 MB.
pub const GATHER_BYTES_MAX: usize = 16 << 20;
/// Reads, receipts and barriers that may wait at once on one replica.
pub const WAITS_MAX: usize = 100_000;
/// Barriers that one connection may have waiting at a node. A replica keeps further questions to itself until some of
/// these are answered.
pub const BARRIERS_PER_CONNECTION_MAX: usize = 1024;
/// Logs that all who wait at a node may name together: what they weigh, and what each commit has to look at.
pub const WAITING_LOGS_MAX: usize = 65_536;
/// Origins that one connection may push for: its own and those of earlier openings whose outbox it sends.
pub const ORIGINS_PER_CONNECTION_MAX: usize = 1024;
/// Catch-up frames that a node sends beyond what the replica has confirmed.
pub const CATCH_UP_FRAMES_AHEAD: u32 = 8;
/// Inputs that a node keeps while its storage is still loading.
pub const LOADING_INPUTS_MAX: usize = 4096;
/// Log rows that one storage scan may return, and the bytes after which it ends.
pub const SCAN_ROWS_MAX: usize = 512;
/// See `SCAN_ROWS_MAX`.
pub const SCAN_BYTES_MAX: usize = 1 << 20;
/// Recent origins a node remembers for deduplication; the least recent ones are forgotten beyond it.
pub const ORIGINS_MAX: usize = 65_536;
/// Log rows between two checkpoints of the origin table, which bounds what a restart has to read.
pub const CHECKPOINT_ROWS: u64 = 256;
/// What a connection may leave with the platform to survive hibernation. Above it the connection is closed with a
/// resumable error when the node wakes, and the replica resumes from its frontier.
pub const ATTACHMENT_BYTES_MAX: usize = 2048;
/// The longest message that a node passes on from one client to others.
pub const SIGNAL_BYTES_MAX: usize = 64 << 10;
/// Bytes of such messages that one connection may have passed on within a second, counted for each receiver. Further ones
/// are dropped until the next second begins.
pub const SIGNALS_BYTES_PER_SECOND: usize = 1 << 20;
/// The most members of a group.
pub const GROUP_MEMBERS_MAX: usize = 64;
/// The longest name of a member, in bytes.
pub const MEMBER_NAME_BYTES_MAX: usize = 64;
/// The longest address of a member, in bytes.
pub const MEMBER_ADDRESS_BYTES_MAX: usize = 512;
/// Loss windows that a group's record keeps; the oldest is dropped beyond it.
pub const LOSS_WINDOWS_MAX: usize = 16;
/// Acknowledgements of a stage that a node owes at most; beyond it the oldest is left for the replica to ask for.
pub const ACKS_WAITING_MAX: usize = 65_536;
/// The least time between two marks of what was shown at a time: how exact a time is as a position.
pub const MARK_EVERY_MS: u64 = 1000;
/// How long marks are kept: how far back a time can name a position.
pub const MARKS_KEPT_MS: u64 = 7 * 24 * 3600 * 1000;
/// The most names that one page of a listing holds.
pub const DOCS_LISTED_MAX: usize = 1000;
/// The most that a follower passes on as one append of its host's: it has to fit a call between members.
pub const FORWARDED_APPEND_BYTES_MAX: usize = 4 << 20;
/// The longest call or answer between members.
pub const CALL_BYTES_MAX: usize = 8 << 20;
/// The most pushes that a follower passes on in one call.
pub const FORWARDED_PUSHES_MAX: usize = 4096;
/// The longest record of a group as text. Members, sealed epochs and loss windows at their limits fit.
pub const RECORD_BYTES_MAX: usize = 128 << 10;
/// The size of a snapshot's chunks, in storage and on the wire: a row and a frame take one with room to spare.
pub const CONTENT_CHUNK_BYTES: usize = 256 << 10;
/// The runs of one document. Beyond it what is oldest is squashed whatever its age.
pub const RUNS_MAX: usize = 4096;
/// The most documents of one page of the log that is folded; a row that has more is folded alone.
pub const FOLD_DOCS_MAX: usize = 256;
/// The weight up to which what is folded joins the document's last run.
pub const RUN_BYTES_TARGET: usize = 64 << 10;
/// Documents that wait to be squashed. Those beyond it the next sweep finds.
pub const SQUASHES_WAITING_MAX: usize = 1024;
