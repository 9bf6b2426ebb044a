//! What a component tells of itself without being run.

use crate::{guest, prescan, text};
use wasmparser::{Parser, Payload, ProducersSectionReader};
use wit_component::{DecodedWasm, WitPrinter};

/// What can be read from a component's bytes. Texts are shortened and free of control characters, but for the line
/// breaks of `wit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// SHA-256 in hexadecimal digits.
    pub digest: String,
    pub bytes: usize,
    pub functions: u64,
    /// Locals of the function that has most.
    pub locals_most: u64,
    /// Bytes of the longest function.
    pub body_bytes_most: usize,
    pub imports: Vec<String>,
    pub exports: Vec<String>,
    /// Languages, compilers and tools, with their versions.
    pub toolchain: Vec<String>,
    /// Its world in WIT; none where it cannot be read.
    pub wit: Option<String>,
}

const NAMES_MAX: usize = 200;
const WIT_CHARS_MAX: usize = 100_000;

/// Reads a component of the caller's own: nothing bounds what this costs beyond the component's size.
///
/// # Errors
/// Bytes that are not a component, in words for people.
pub fn inspect(bytes: &[u8]) -> Result<Inspection, String> {
    if !Parser::is_component(bytes) {
        return Err("it is not a WebAssembly component in binary form".to_owned());
    }
    let counted =
        prescan::count(bytes).map_err(|error| format!("it is malformed at byte {}", error.offset()))?;
    let (mut imports, mut exports, mut toolchain) = (Vec::new(), Vec::new(), Vec::new());
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(bytes).map_while(Result::ok) {
        match payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                let names = section.into_iter().map_while(Result::ok);
                imports.extend(names.map(|import| text::printable(import.name.name)));
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                let names = section.into_iter().map_while(Result::ok);
                exports.extend(names.map(|export| text::printable(export.name.name)));
            }
            Payload::CustomSection(section) if section.name() == "producers" => {
                let reader = wasmparser::BinaryReader::new(section.data(), section.data_offset());
                toolchain.extend(ProducersSectionReader::new(reader).map_or_else(|_| Vec::new(), producers));
            }
            _ => {}
        }
    }
    toolchain.sort();
    toolchain.dedup();
    for names in [&mut imports, &mut exports, &mut toolchain] {
        names.truncate(NAMES_MAX);
    }
    Ok(Inspection {
        digest: guest::digest(bytes),
        bytes: bytes.len(),
        functions: counted.functions,
        locals_most: counted.locals_most,
        body_bytes_most: counted.body_bytes_most,
        imports,
        exports,
        toolchain,
        wit: wit(bytes),
    })
}

fn producers(section: ProducersSectionReader<'_>) -> Vec<String> {
    section
        .into_iter()
        .map_while(Result::ok)
        .flat_map(|field| field.values.into_iter().map_while(Result::ok))
        .map(|value| text::printable(format!("{} {}", value.name, value.version).trim()))
        .collect()
}

fn wit(bytes: &[u8]) -> Option<String> {
    let DecodedWasm::Component(resolve, world) = wit_component::decode(bytes).ok()? else {
        return None;
    };
    let main = resolve.worlds[world].package?;
    let others: Vec<_> = resolve
        .packages
        .iter()
        .map(|(id, _)| id)
        .filter(|id| *id != main)
        .collect();
    let mut printer = WitPrinter::default();
    printer.print(&resolve, main, &others).ok()?;
    let lines: Vec<String> = String::from(printer.output)
        .chars()
        .take(WIT_CHARS_MAX)
        .collect::<String>()
        .lines()
        .map(|line| text::shortened(line, 1_000))
        .collect();
    Some(lines.join("\n"))
}
