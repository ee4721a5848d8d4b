//! Maps: keys to values. The last writer of a key wins, the same one everywhere.
//!
//! Keys come out sorted, so that every replica lists a map alike.

use yrs::{Any, Map, MapRef, Out};

use crate::document::Document;
use crate::error::DocError;
use crate::handle::{Handle, Kind, Value};
use crate::input::Input;
use crate::json::to_json;
use crate::order::sort_by_key;

impl Document {
    /// Sets `key`, replacing what was there.
    pub fn map_set(&mut self, map: Handle, key: &str, value: Input) -> Result<(), DocError> {
        self.wide_characters |= value.has_wide_characters(false);
        self.write::<MapRef, _>(map, Kind::Map, |map, txn| {
            map.insert(txn, key, value);
            Ok(())
        })
    }

    /// What stands at `key`.
    pub fn map_get(&self, map: Handle, key: &str) -> Result<Option<Value>, DocError> {
        self.read_values::<MapRef, _>(map, Kind::Map, |map, txn, table| {
            Ok(map.get(txn, key).map(|out| table.value(out, txn)))
        })
    }

    /// Deletes `key`; says whether it was there. A key that is not there changes nothing.
    pub fn map_delete(&mut self, map: Handle, key: &str) -> Result<bool, DocError> {
        if !self.map_has(map, key)? {
            return Ok(false);
        }
        self.write::<MapRef, _>(map, Kind::Map, |map, txn| {
            map.remove(txn, key);
            Ok(true)
        })
    }

    /// Whether something stands at `key`.
    pub fn map_has(&self, map: Handle, key: &str) -> Result<bool, DocError> {
        self.read::<MapRef, _>(map, Kind::Map, |map, txn| Ok(map.contains_key(txn, key)))
    }

    /// The keys, sorted.
    pub fn map_keys(&self, map: Handle) -> Result<Vec<String>, DocError> {
        self.read::<MapRef, _>(map, Kind::Map, |map, txn| {
            let mut keys: Vec<&str> = map.keys(txn).collect();
            sort_by_key(&mut keys, |key| *key);
            Ok(keys.into_iter().map(str::to_owned).collect())
        })
    }

    /// The entries, sorted by key.
    pub fn map_entries(&self, map: Handle) -> Result<Vec<(String, Value)>, DocError> {
        self.read_values::<MapRef, _>(map, Kind::Map, |map, txn, table| {
            let mut entries: Vec<_> = map.iter(txn).collect();
            sort_by_key(&mut entries, |(key, _)| *key);
            Ok(entries.into_iter().map(|(key, out)| (key.to_owned(), table.value(out, txn))).collect())
        })
    }

    /// How many entries there are.
    pub fn map_size(&self, map: Handle) -> Result<u32, DocError> {
        self.read::<MapRef, _>(map, Kind::Map, |map, txn| Ok(map.len(txn)))
    }

    /// Deletes every entry.
    pub fn map_clear(&mut self, map: Handle) -> Result<(), DocError> {
        if self.map_size(map)? == 0 {
            return Ok(());
        }
        self.write::<MapRef, _>(map, Kind::Map, |map, txn| {
            map.clear(txn);
            Ok(())
        })
    }

    /// The map and everything in it as plain data.
    pub fn map_to_json(&self, map: Handle) -> Result<Any, DocError> {
        self.read::<MapRef, _>(map, Kind::Map, |map, txn| Ok(to_json(Out::YMap(map), txn)))
    }
}
