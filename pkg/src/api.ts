/** Everything public that is the same in all hosts. The entries add how the wasm is loaded. */

export { type BackupDocument, type BackupHeader, type BackupPart, type BackupTotals, type ReadOptions, readBackup } from "./backup/format.js";
export type { BackupProgress, BackupSource, ExportOptions, Imported, ImportOptions } from "./backup/replica.js";
export type { Bookmarks } from "./bookmarks.js";
export { Database, type DatabaseEvents, type Pending, type Progress } from "./database.js";
export { Document, type DocumentChange, type DocumentEvents } from "./document.js";
export { type ErrorCode, HeadwaterError } from "./errors.js";
export { FileReceipt, type FileProgress, type FileReceiptEvents } from "./files/file-receipt.js";
export type { Files, GetOptions, LocalFile, PutFile, PutOptions } from "./files/files.js";
export type { Content } from "./files/pieces.js";
export { History, type Moment, type Past, type Restored } from "./history.js";
export type { Open } from "./open.js";
export type { PeerPort } from "./peers/carrier.js";
export { type JoinPeersOptions, Mesh, type MeshError, type MeshEvents } from "./peers/mesh.js";
export type { Authorize, ConnectPeerOptions, PeerOptions } from "./peers/options.js";
export { Peer, type PeerStatus } from "./peers/peer.js";
export type { Signal } from "./peers/signal.js";
export { Receipt } from "./receipt.js";
export { Session } from "./session.js";
export {
  type ArrayDelta,
  type Attributes,
  type DeepObserver,
  type KeyChange,
  type Observer,
  SharedArray,
  type SharedArrayEvent,
  SharedEvent,
  SharedMap,
  type SharedMapEvent,
  SharedText,
  type SharedTextEvent,
  type TextDelta,
} from "./shared/index.js";
export type { StorageInfo } from "./store/store.js";
export type * from "./types.js";
