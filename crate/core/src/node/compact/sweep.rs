//! The sweep: plans are looked through once per retention, for documents that nobody writes to any more and whose runs are
//! old by now.

use super::plan::Plan;
use super::{Node, Work};
use crate::error::Error;
use crate::ids::{DocName, Millis};
use crate::limits::SCAN_BYTES_MAX;
use crate::store::{Row, Scan, Table};

/// How many plans one step looks at.
const SWEEP_ROWS: usize = 64;

/// A sweep under way.
pub(super) struct Sweep {
    now: Millis,
    /// Where the next step begins.
    from: Vec<u8>,
    /// Whether a document has runs that are not old yet.
    is_more: bool,
}

impl Node {
    pub(super) fn begin_sweep(&mut self, now: Millis) {
        if let Some(sweep) = self.compactor.paused.take() {
            return self.sweep_step(sweep);
        }
        self.compactor.sweep_due = None;
        self.sweep_step(Sweep { now, from: Vec::new(), is_more: false });
    }

    pub(super) fn sweep_step(&mut self, sweep: Sweep) {
        let limit = Some((SWEEP_ROWS, SCAN_BYTES_MAX));
        let scan = Scan { table: Table::Docs, from: sweep.from.clone(), to: None, limit };
        self.compaction_scan(Work::Sweeping(sweep), scan);
    }

    pub(super) fn sweep_read(&mut self, mut sweep: Sweep, rows: &[Row]) -> Result<(), Error> {
        let history = self.config.retention.history;
        for row in rows {
            let plan = Plan::from_bytes(&row.value)?;
            let name = std::str::from_utf8(&row.key).map_err(|_| Error::malformed("a document's name is not UTF-8"))?;
            if self.squashable(&plan, sweep.now).is_some() {
                // What does not fit now, the next sweep finds.
                sweep.is_more |= !self.want_squash(DocName::parse(name)?);
            }
            // One from a clock that is ahead of this one is looked at when something else is.
            sweep.is_more |= plan.runs.iter().any(|run| run.at <= sweep.now && sweep.now.since(run.at) < history);
        }
        if let Some(last) = rows.last() {
            sweep.from = [last.key.as_slice(), &[0]].concat();
            self.compactor.work = Work::Sweeping(sweep);
            return Ok(());
        }
        if sweep.is_more {
            // A fold may have set an earlier one meanwhile.
            self.compactor.sweep_due.get_or_insert(sweep.now.after(history));
        }
        // Or the next start would sweep again.
        let row = self.compacted_row_now();
        self.compaction_commit(Work::Nothing, vec![row]);
        Ok(())
    }
}
