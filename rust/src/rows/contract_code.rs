//! Rows of contract code.

use super::EntryTable;
use super::column::{Columns, Int32, Int64, OptInt64, columns};
use super::reader::{Read, Reader};
use super::shared_columns::{Common, Entry, Extension};
use super::strings::{Bytes, Hash};

columns! {
    /// The table `contract_code`.
    ContractCodes {
        common: Common,
        hash: Hash,
        code: Bytes,
        code_size: Int64,
        ext_version: Int32,
        n_instructions: OptInt64,
        n_functions: OptInt64,
        n_globals: OptInt64,
        n_table_entries: OptInt64,
        n_types: OptInt64,
        n_data_segments: OptInt64,
        n_elem_segments: OptInt64,
        n_imports: OptInt64,
        n_exports: OptInt64,
        n_data_segment_bytes: OptInt64,
    }
}

/// Reads the ten cost inputs, which only version 1 has.
fn read_cost_inputs(r: &mut Reader) -> Read<Option<[u32; 10]>> {
    if !r.flag("ContractCodeEntry.ext")? {
        return Ok(None);
    }
    r.only(0, "ContractCodeEntryV1.ext")?;
    r.only(0, "ContractCodeCostInputs.ext")?;
    let mut inputs = [0; 10];
    for input in &mut inputs {
        *input = r.u32("ContractCodeCostInputs")?;
    }
    Ok(Some(inputs))
}

impl EntryTable for ContractCodes {
    fn push(&mut self, entry: &Entry, r: &mut Reader) -> Read<()> {
        let inputs = read_cost_inputs(r)?;
        let hash = r.array("ContractCodeEntry.hash")?;
        let code = r.bytes("ContractCodeEntry.code")?;
        let extension = Extension::read(r)?;
        self.common.push(entry, &extension);
        self.hash.push(hash);
        self.code.push(code);
        self.code_size.push(code.len() as i64);
        self.ext_version.push(i32::from(inputs.is_some()));
        let columns = [
            &mut self.n_instructions,
            &mut self.n_functions,
            &mut self.n_globals,
            &mut self.n_table_entries,
            &mut self.n_types,
            &mut self.n_data_segments,
            &mut self.n_elem_segments,
            &mut self.n_imports,
            &mut self.n_exports,
            &mut self.n_data_segment_bytes,
        ];
        for (position, column) in columns.into_iter().enumerate() {
            column.push(inputs.map(|inputs| i64::from(inputs[position])));
        }
        Ok(())
    }

    fn take(&mut self, out: &mut Vec<arrow_array::ArrayRef>) {
        Columns::take(self, out);
    }
}
