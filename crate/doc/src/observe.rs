//! Observers: what a commit or an application changed, as plain records in a queue.
//!
//! yrs calls back in the middle of a commit, when nobody else's code may run. So the callbacks here only write down
//! what happened; [`Document::take_events`] hands it out afterwards, when every borrow is released. Records come in an
//! order that does not depend on hashing: by commit, then by observer, then by path.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use yrs::branch::BranchPtr;
use yrs::types::{self, Delta, EntryChange, PathSegment};
use yrs::{Origin, Out, TransactionMut};

use crate::document::Document;
use crate::error::DocError;
use crate::handle::{Handle, HandleTable, Value};
use crate::input::TextDelta;
use crate::order::sort_by_key;

/// Names one subscription of one document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObserverId(pub u32);

/// What one observer is told of one commit.
#[derive(Debug, Clone, PartialEq)]
pub struct EventBatch {
    /// Whose it is.
    pub observer: ObserverId,
    /// One event for a plain observer; for a deep one, an event for each changed type, outer types first.
    pub events: Vec<Event>,
}

/// What happened to one shared type.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The type that changed.
    pub target: Handle,
    /// The way to it from the observed type.
    pub path: Vec<PathStep>,
    /// What changed.
    pub change: Change,
    /// Whether it was changed here, by the local transaction, or came with [`Document::apply`].
    pub local: bool,
}

/// One step from a shared type to one within it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PathStep {
    /// Into a map.
    Key(String),
    /// Into an array or a text.
    Index(u32),
}

/// The change, by the kind of the target.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// The entries that changed, sorted by key.
    Map(Vec<KeyChange>),
    /// The steps that lead from the old array to the new.
    Array(Vec<ArrayDelta>),
    /// The steps that lead from the old text to the new.
    Text(Vec<TextDelta<Value>>),
}

/// What happened to one entry.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyChange {
    /// Its key.
    pub key: String,
    /// What happened.
    pub action: KeyAction,
    /// What stood there before.
    pub old: Option<Value>,
}

/// What can happen to an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyAction {
    /// It is new.
    Add,
    /// It has another value.
    Update,
    /// It is gone.
    Delete,
}

/// One step of a change to an array.
#[derive(Debug, Clone, PartialEq)]
pub enum ArrayDelta {
    /// New values.
    Insert(Vec<Value>),
    /// Goes on over this many values.
    Retain(u32),
    /// Removes this many values.
    Delete(u32),
}

/// The subscriptions of a document and what they have to tell.
#[derive(Default)]
pub(crate) struct Observers {
    log: Rc<Log>,
    last_id: u32,
    subscriptions: BTreeMap<ObserverId, (Handle, bool)>,
}

#[derive(Default)]
struct Log {
    local: Cell<bool>,
    /// Of the commit that is under way, in the order in which yrs calls back.
    fresh: RefCell<Vec<EventBatch>>,
    /// Of finished commits.
    settled: RefCell<Vec<EventBatch>>,
}

impl Document {
    /// Watches a shared type; with `deep`, also everything within it.
    pub fn observe(&mut self, handle: Handle, deep: bool) -> Result<ObserverId, DocError> {
        let id = ObserverId(self.observers.last_id + 1);
        self.attach(id, handle, deep)?;
        self.observers.last_id = id.0;
        self.observers.subscriptions.insert(id, (handle, deep));
        Ok(id)
    }

    /// Watches again what was watched before the content was replaced. What is not there any more took its
    /// subscriptions along.
    pub(crate) fn attach_again(&mut self) {
        let subscriptions = std::mem::take(&mut self.observers.subscriptions);
        let kept = subscriptions.into_iter().filter(|(id, (handle, deep))| self.attach(*id, *handle, *deep).is_ok());
        self.observers.subscriptions = kept.collect();
    }

    fn attach(&mut self, id: ObserverId, handle: Handle, deep: bool) -> Result<(), DocError> {
        let mut branch = self.held.read(|txn| self.handles.borrow().resolve(handle, handle.kind, txn))?;
        let log = self.observers.log.clone();
        let handles = self.handles.clone();
        let record = move |txn: &TransactionMut<'_>, events: &mut dyn Iterator<Item = &types::Event>| {
            let mut handles = handles.borrow_mut();
            let mut events: Vec<_> =
                events.filter_map(|event| record(event, txn, &mut handles, log.local.get())).collect();
            sort_by_key(&mut events, |event| (event.path.len(), event.path.clone()));
            if !events.is_empty() {
                log.fresh.borrow_mut().push(EventBatch { observer: id, events });
            }
        };
        match deep {
            true => branch.observe_deep(key_of(id), move |txn, events| record(txn, &mut events.iter())),
            false => branch.observe(key_of(id), move |txn, event| record(txn, &mut std::iter::once(event))),
        }
        Ok(())
    }

    /// Ends a subscription; says whether there was one.
    pub fn unobserve(&mut self, id: ObserverId) -> bool {
        let Some((handle, _)) = self.observers.subscriptions.remove(&id) else {
            return false;
        };
        let branch: Option<BranchPtr> =
            self.held.read(|txn| self.handles.borrow().id(handle).and_then(|branch| branch.get_branch(txn)));
        // A type that is gone took its subscriptions along.
        if let Some(mut branch) = branch {
            branch.unobserve(&key_of(id));
            branch.unobserve_deep(&key_of(id));
        }
        true
    }

    /// What observers have to be told since the last time, in order.
    pub fn take_events(&mut self) -> Vec<EventBatch> {
        std::mem::take(&mut self.observers.log.settled.borrow_mut())
    }
}

impl Observers {
    /// Says where the changes of the commit that follows come from.
    pub(crate) fn set_local(&self, local: bool) {
        self.log.local.set(local);
    }

    /// Puts what the finished commit recorded in order.
    pub(crate) fn settle(&self) {
        let mut fresh = std::mem::take(&mut *self.log.fresh.borrow_mut());
        sort_by_key(&mut fresh, |batch| batch.observer);
        self.log.settled.borrow_mut().append(&mut fresh);
    }
}

fn key_of(id: ObserverId) -> Origin {
    Origin::from(id.0)
}

/// The record of one event; nothing for the types that this crate does not offer.
fn record(event: &types::Event, txn: &TransactionMut<'_>, handles: &mut HandleTable, local: bool) -> Option<Event> {
    let change = match event {
        types::Event::Map(event) => Change::Map(key_changes(event.keys(txn).iter(), txn, handles)),
        types::Event::Array(event) => {
            Change::Array(event.delta(txn).iter().map(|step| array_step(step, txn, handles)).collect())
        }
        types::Event::Text(event) => {
            Change::Text(event.delta(txn).iter().map(|step| text_step(step, txn, handles)).collect())
        }
        _ => return None,
    };
    let Value::Shared(target) = handles.value(event.target(), txn) else {
        return None;
    };
    let path = event.path().into_iter().map(|segment| match segment {
        PathSegment::Key(key) => PathStep::Key(key.to_string()),
        PathSegment::Index(index) => PathStep::Index(index),
    });
    Some(Event { target, path: path.collect(), change, local })
}

fn key_changes<'a, K: AsRef<str> + 'a>(
    changes: impl Iterator<Item = (&'a K, &'a EntryChange)>,
    txn: &TransactionMut<'_>,
    handles: &mut HandleTable,
) -> Vec<KeyChange> {
    let mut value = |out: &Out| Some(handles.value(out.clone(), txn));
    let mut changes: Vec<_> = changes
        .map(|(key, change)| {
            let (action, old) = match change {
                EntryChange::Inserted(_) => (KeyAction::Add, None),
                EntryChange::Updated(old, _) => (KeyAction::Update, value(old)),
                EntryChange::Removed(old) => (KeyAction::Delete, value(old)),
            };
            KeyChange { key: key.as_ref().to_owned(), action, old }
        })
        .collect();
    sort_by_key(&mut changes, |change| change.key.clone());
    changes
}

fn array_step(step: &types::Change, txn: &TransactionMut<'_>, handles: &mut HandleTable) -> ArrayDelta {
    match step {
        types::Change::Added(values) => {
            ArrayDelta::Insert(values.iter().map(|out| handles.value(out.clone(), txn)).collect())
        }
        types::Change::Removed(count) => ArrayDelta::Delete(*count),
        types::Change::Retain(count) => ArrayDelta::Retain(*count),
    }
}

fn text_step(step: &Delta, txn: &TransactionMut<'_>, handles: &mut HandleTable) -> TextDelta<Value> {
    match step {
        Delta::Inserted(out, attrs) => TextDelta::Insert(handles.value(out.clone(), txn), attrs.clone()),
        Delta::Deleted(count) => TextDelta::Delete(*count),
        Delta::Retain(count, attrs) => TextDelta::Retain(*count, attrs.clone()),
    }
}
