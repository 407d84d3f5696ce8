//! Rows of the network's settings.

use super::EntryTable;
use super::column::{Columns, Int32, columns};
use super::reader::{Read, Reader};
use super::shared_columns::{Common, Entry, Extension};
use super::strings::{Bytes, Text};
use crate::xdr::generated::{json_ConfigSettingEntry, skip_ConfigSettingEntry};

columns! {
    /// The columns of `config_setting`.
    Settings {
        common: Common,
        config_setting_id: Int32,
        name: Text,
        value_xdr: Bytes,
        value_json: Text,
    }
}

/// SEP-51 names; the index is the `ConfigSettingID`.
pub const NAMES: [&str; 21] = [
    "contract_max_size_bytes",
    "contract_compute_v0",
    "contract_ledger_cost_v0",
    "contract_historical_data_v0",
    "contract_events_v0",
    "contract_bandwidth_v0",
    "contract_cost_params_cpu_instructions",
    "contract_cost_params_memory_bytes",
    "contract_data_key_size_bytes",
    "contract_data_entry_size_bytes",
    "state_archival",
    "contract_execution_lanes",
    "live_soroban_state_size_window",
    "eviction_iterator",
    "contract_parallel_compute_v0",
    "contract_ledger_cost_ext_v0",
    "scp_timing",
    "frozen_ledger_keys",
    "frozen_ledger_keys_delta",
    "freeze_bypass_txs",
    "freeze_bypass_txs_delta",
];

/// The table `config_setting`; the JSON of a row is made here before the row is added.
pub struct ConfigSettings {
    columns: Settings,
    json: String,
}

impl ConfigSettings {
    pub fn new(select: &dyn Fn(&str) -> bool) -> Self {
        Self {
            columns: Settings::new("", select),
            json: String::new(),
        }
    }
}

impl EntryTable for ConfigSettings {
    fn push(&mut self, entry: &Entry, r: &mut Reader) -> Read<()> {
        let start = r.pos();
        r.walk(skip_ConfigSettingEntry)?;
        let value = r.since(start);
        let id = Reader::new(value).u32("ConfigSettingID")?;
        let Some(name) = NAMES.get(id as usize) else {
            return r.refuse("ConfigSettingID");
        };
        self.json.clear();
        if self.columns.value_json.is_on() {
            Reader::new(value).walk(|cursor| json_ConfigSettingEntry(cursor, &mut self.json))?;
        }
        let extension = Extension::read(r)?;
        let columns = &mut self.columns;
        columns.common.push(entry, &extension);
        columns.config_setting_id.push(id as i32);
        columns.name.push(name.as_bytes());
        columns.value_xdr.push(value);
        columns.value_json.push(self.json.as_bytes());
        Ok(())
    }

    fn take(&mut self, out: &mut Vec<arrow_array::ArrayRef>) {
        self.columns.take(out);
    }
}
