//! `docs/protocol.md` says what the code does: every code, limit, frame type and time in its tables.

use headwater_core::error::Code;
use headwater_core::limits;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

fn text(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The cells of each table row under the heading, without the head of the table.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let text = text("../../docs/protocol.md");
    let section = text.split(&format!("\n## {heading}\n")).nth(1).expect("the section is there");
    let section = section.split("\n## ").next().expect("a split has a first part");
    let rows = section.lines().filter(|line| line.starts_with('|') && !line.starts_with("|---"));
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect();
    rows.map(cells).collect()
}

#[test]
fn every_code_is_in_the_table() {
    let table: Vec<(u8, String)> =
        rows("Codes").into_iter().filter_map(|cells| Some((cells[0].parse().ok()?, cells[1].clone()))).collect();
    let code: Vec<(u8, String)> = Code::ALL.iter().map(|code| (code.to_byte(), code.as_str().to_owned())).collect();
    assert_eq!(table, code);
}

#[test]
fn codes_block_or_not_as_the_table_says() {
    for cells in rows("Codes").iter().filter(|cells| cells[0].parse::<u8>().is_ok()) {
        let code = Code::from_byte(cells[0].parse().unwrap()).unwrap();
        let mut world = crate::common::World::with(1, &[]);
        let error = headwater_core::Error::new(code, "told");
        let bytes = headwater_core::frame::NodeFrame::Error { error, retry_after_ms: 0 }.encode();
        world.clients[0].handle(headwater_core::replica::Input::Frame { bytes }, world.now);
        let is_blocked = world.clients[0].replica.phase() == headwater_core::replica::Phase::Blocked;
        assert_eq!(if is_blocked { "block" } else { "retry" }, cells[3], "{code}");
    }
}

#[test]
fn every_limit_is_in_the_table_with_its_value() {
    macro_rules! values {
        ($($name:ident)*) => { BTreeMap::from([$((stringify!($name).to_owned(), limits::$name as u64),)*]) };
    }
    let values: BTreeMap<String, u64> = values!(
        DOC_NAME_BYTES_MAX DATABASE_NAME_BYTES_MAX FRAME_BYTES_MAX WRITE_BYTES_MAX WRITE_PARTS_MAX BATCH_BYTES_TARGET
        BATCH_WRITES_MAX BATCH_DOCS_MAX SUBSCRIPTIONS_MAX FRONTIER_LOGS_MAX MESSAGE_BYTES_MAX EXTENSIONS_MAX
        EXTENSION_BYTES_MAX OUTBOX_BYTES_MAX PUSH_WINDOW_BYTES GATHER_BYTES_MAX WAITS_MAX BARRIERS_PER_CONNECTION_MAX
        WAITING_LOGS_MAX
        ORIGINS_PER_CONNECTION_MAX CATCH_UP_FRAMES_AHEAD LOADING_INPUTS_MAX SCAN_ROWS_MAX SCAN_BYTES_MAX ORIGINS_MAX
        PEERS_MAX PEER_ORIGINS_MAX PEER_TOKEN_BYTES_MAX DOCS_TOLD_MAX
        CONTENT_CHUNK_BYTES RUNS_MAX FOLD_DOCS_MAX RUN_BYTES_TARGET SQUASHES_WAITING_MAX
        CHECKPOINT_ROWS ATTACHMENT_BYTES_MAX SIGNAL_BYTES_MAX SIGNALS_BYTES_PER_SECOND GROUP_MEMBERS_MAX MEMBER_NAME_BYTES_MAX MEMBER_ADDRESS_BYTES_MAX
        LOSS_WINDOWS_MAX ACKS_WAITING_MAX CALL_BYTES_MAX FORWARDED_PUSHES_MAX RECORD_BYTES_MAX
        FORWARDED_APPEND_BYTES_MAX DOCS_LISTED_MAX MARK_EVERY_MS MARKS_KEPT_MS
    );
    let table: BTreeMap<String, u64> =
        rows("Limits").into_iter().filter_map(|cells| Some((cells[0].clone(), cells[1].parse().ok()?))).collect();
    assert_eq!(table, values);
    let source = text("src/limits.rs");
    let declared = source.lines().filter_map(|line| line.strip_prefix("pub const ")?.split(':').next());
    let missing: Vec<&str> = declared.filter(|name| !values.contains_key(*name)).collect();
    assert_eq!(missing, [""; 0], "limits that the page does not name");
}

#[test]
fn every_frame_type_is_in_the_table() {
    frames_are_in_the_table("Frames", &["client", "node"]);
    frames_are_in_the_table("Between peers", &["peer"]);
}

fn frames_are_in_the_table(heading: &str, sides: &[&str]) {
    // The golden files begin with the type byte, and their names with the frame's.
    let mut golden: BTreeMap<u8, String> = BTreeMap::new();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/frames/v1");
    for file in fs::read_dir(directory).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        let Some((side, frame)) = name.trim_end_matches(".hex").split_once('-') else { continue };
        if !sides.contains(&side) {
            continue;
        }
        let text = text(&format!("fixtures/frames/v1/{name}"));
        let digits = text.lines().find(|line| !line.starts_with('#')).unwrap();
        let frame = frame.split('-').next().unwrap().to_owned();
        let before = golden.insert(u8::from_str_radix(&digits[..2], 16).unwrap(), frame.clone());
        assert!(before.is_none_or(|before| before == frame));
    }
    let table: BTreeMap<u8, String> =
        rows(heading).into_iter().filter_map(|cells| Some((cells[0].parse().ok()?, cells[1].to_lowercase()))).collect();
    assert_eq!(table, golden);
}

#[test]
fn the_times_are_those_of_the_code() {
    let text = text("../../docs/protocol.md").replace(',', "");
    let source = self::text("src/replica/link.rs") + &self::text("src/backoff.rs");
    for (name, value) in [
        ("PING_INTERVAL", "25_000"),
        ("ANSWER_MS_MAX", "3_000"),
        ("PONG_MS_MAX", "10_000"),
        ("CONNECT_MS_MAX", "10_000"),
        ("BACKOFF_MS_MAX", "15_000"),
        ("BACKOFF_BASE_MS", "250"),
    ] {
        let line = source.lines().find(|line| line.starts_with(&format!("pub const {name}"))).expect("it is declared");
        assert!(line.contains(value), "{line}");
        assert!(text.contains(&format!("{} ms", value.replace('_', ""))), "{value} is not on the page");
    }
}
