// Package record keeps what a leader saw: the sum of every sealed second and every change of state, in files from which
// `sluice backtest` replays it with nothing else at hand.
//
// A file is append-only: eight bytes that name the format, its version, and frames. A frame is
//
//	kind (1) · length of the payload (4) · CRC-32C of the payload (4) · CRC-32C of these nine bytes (4) · payload
//
// with numbers in little-endian. The first frame is the header, JSON that can be read with plain tools: environment, replica,
// start, and the layout of the packed seconds. Blocks follow, each a
// DEFLATE stream of records: kind (1), length (uvarint), bytes. Kinds of record: a catalogue in force (StoredCatalog of
// sluice.config.v1), a state (ScopeState) and an open incident (Incident) as they stood when the file began, an entry of the
// journal (revision as uvarint, JournalEntry), a second (a packed monitor.Row). The last frame of a file that was closed in
// order is empty and says so.
//
// A block is written with one call, so that a crash tears at most the end of the file: it is left out by the reader and
// reported. Damage anywhere else is refused, with its offset.
package record
