//! Customers' redaction policies: what they may use, and which ones a mirror has.

use super::super::{ConfigError, PoliciesConfig, PolicySpec, value};
use mirror_sandbox::{CompileLimits, Limits};
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{SeqAccess, Visitor},
};
use serde_json::{Map, Value};
use std::{
    collections::BTreeSet,
    fmt,
    path::{Path, PathBuf},
};

/// Policies of one mirror. Each judges what the one before it has left, so their times add up.
const POLICIES_MAX: usize = 16;
/// Bytes of one policy's settings, as JSON.
const SETTINGS_BYTES_MAX: usize = 1 << 20;

/// Reads the policies of a mirror; who writes the path of one there is told what to write instead.
pub(super) fn tables<'de, D: Deserializer<'de>>(tables: D) -> Result<Vec<Policy>, D::Error> {
    struct Tables;
    impl<'de> Visitor<'de> for Tables {
        type Value = Vec<Policy>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("tables `[[mirror.policy]]` with `name`, `file` and `settings`")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut tables: A) -> Result<Vec<Policy>, A::Error> {
            let mut policies = Vec::new();
            while let Some(policy) = tables.next_element()? {
                policies.push(policy);
            }
            Ok(policies)
        }
    }
    tables.deserialize_seq(Tables)
}

/// `[policies]`: what one customer's policy may use.
#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Policies {
    /// Bytes of linear memory of one instance, summed over all its memories; at least 1 MiB.
    memory_bytes_max: usize,
    /// Linear memories of one instance.
    memories_max: usize,
    /// Tables of one instance.
    tables_max: usize,
    /// Elements of all tables of one instance.
    table_elements_max: usize,
    /// Core instances of which one component instance may be made.
    instances_max: usize,
    /// Bytes of stack of a guest's calls, 64 KiB to 1 MiB.
    wasm_stack_bytes_max: usize,
    /// Bytes of a component.
    component_bytes_max: usize,
    /// Functions of a component.
    functions_max: u32,
    /// Locals and parameters of one function.
    locals_max: u32,
    /// Bytes of one function's body.
    body_bytes_max: usize,
    /// Bytes that a policy may return in one call.
    hostcall_fuel: usize,
    /// WebAssembly instructions (about) for one instantiation and one batch; at least 1000000.
    fuel_max: u64,
    /// Milliseconds of one instantiation and one batch, at least 100; meant to be far above what `fuel_max` takes.
    deadline_ms: u64,
    /// Documents of one batch; at least 1.
    batch_documents_max: usize,
    /// Bytes of text of one batch; a larger document is a batch by itself.
    batch_bytes_max: usize,
    /// Findings in one document.
    findings_max: usize,
    /// Bytes of leaves that are searched for the literals of one document's findings.
    literal_search_bytes_max: usize,
    /// Documents that get no verdict one after the other and each take a limit, or a sixteenth of `fuel_max`, before the policy is
    /// asked no more in that chunk of objects, whose rest is withheld with `not_asked`; at least 1. Traps and errors that come at
    /// once do not count. A shadow is set aside after so many documents in a row without a verdict, whatever they took.
    failures_in_row_max: u32,
    /// Seconds of processor time for compiling, over all threads; at least 1.
    compile_cpu_seconds_max: u64,
    /// Bytes of memory for compiling; at least 64 MiB.
    compile_memory_bytes_max: u64,
    /// Milliseconds for compiling; at least 1000.
    compile_wall_ms_max: u64,
    /// Bytes of remembered findings, of all policies together.
    memo_bytes_max: usize,
}

impl Default for Policies {
    fn default() -> Self {
        let Limits {
            memory_bytes_max,
            memories_max,
            tables_max,
            table_elements_max,
            instances_max,
            wasm_stack_bytes_max,
            component_bytes_max,
            functions_max,
            locals_max,
            body_bytes_max,
            hostcall_fuel,
            output_bytes_max: _,
            fuel_max,
            deadline_ms,
            batch_documents_max,
            batch_bytes_max,
            findings_max,
            literal_search_bytes_max,
            failures_in_row_max,
            list_items_max: _,
        } = Limits::default();
        let CompileLimits {
            cpu_seconds_max,
            memory_bytes_max: compile_memory_bytes_max,
            wall_ms_max,
        } = CompileLimits::default();
        Self {
            memory_bytes_max,
            memories_max,
            tables_max,
            table_elements_max,
            instances_max,
            wasm_stack_bytes_max,
            component_bytes_max,
            functions_max,
            locals_max,
            body_bytes_max,
            hostcall_fuel,
            fuel_max,
            deadline_ms,
            batch_documents_max,
            batch_bytes_max,
            findings_max,
            literal_search_bytes_max,
            failures_in_row_max,
            compile_cpu_seconds_max: cpu_seconds_max,
            compile_memory_bytes_max,
            compile_wall_ms_max: wall_ms_max,
            memo_bytes_max: 32 << 20,
        }
    }
}

impl Policies {
    pub(super) fn check(self) -> Result<PoliciesConfig, ConfigError> {
        let at_least = |name: &str, is: u64, least: u64| {
            if is >= least {
                return Ok(());
            }
            let problem = format!("must be at least {least}");
            Err(value(format!("policies.{name}"), problem))
        };
        // Below these no policy would ever answer.
        at_least("memory_bytes_max", self.memory_bytes_max as u64, 1 << 20)?;
        at_least("wasm_stack_bytes_max", self.wasm_stack_bytes_max as u64, 64 << 10)?;
        at_least("fuel_max", self.fuel_max, 1_000_000)?;
        at_least("deadline_ms", self.deadline_ms, 100)?;
        at_least("batch_documents_max", self.batch_documents_max as u64, 1)?;
        at_least("failures_in_row_max", u64::from(self.failures_in_row_max), 1)?;
        at_least("compile_cpu_seconds_max", self.compile_cpu_seconds_max, 1)?;
        at_least(
            "compile_memory_bytes_max",
            self.compile_memory_bytes_max,
            64 << 20,
        )?;
        at_least("compile_wall_ms_max", self.compile_wall_ms_max, 1_000)?;
        // The threads that call have 2 MiB.
        if self.wasm_stack_bytes_max > 1 << 20 {
            return Err(value(
                "policies.wasm_stack_bytes_max",
                "must be at most 1048576 (1 MiB)",
            ));
        }
        Ok(PoliciesConfig {
            limits: Limits {
                memory_bytes_max: self.memory_bytes_max,
                memories_max: self.memories_max,
                tables_max: self.tables_max,
                table_elements_max: self.table_elements_max,
                instances_max: self.instances_max,
                wasm_stack_bytes_max: self.wasm_stack_bytes_max,
                component_bytes_max: self.component_bytes_max,
                functions_max: self.functions_max,
                locals_max: self.locals_max,
                body_bytes_max: self.body_bytes_max,
                hostcall_fuel: self.hostcall_fuel,
                fuel_max: self.fuel_max,
                deadline_ms: self.deadline_ms,
                batch_documents_max: self.batch_documents_max,
                batch_bytes_max: self.batch_bytes_max,
                findings_max: self.findings_max,
                literal_search_bytes_max: self.literal_search_bytes_max,
                failures_in_row_max: self.failures_in_row_max,
                ..Limits::default()
            },
            compile: CompileLimits {
                cpu_seconds_max: self.compile_cpu_seconds_max,
                memory_bytes_max: self.compile_memory_bytes_max,
                wall_ms_max: self.compile_wall_ms_max,
            },
            memo_bytes_max: self.memo_bytes_max,
        })
    }
}

/// `[[mirror.policy]]`: one policy of a mirror.
#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Policy {
    /// Name of the policy: 1 to 40 characters of a-z, 0-9 and -.
    name: String,
    /// The component's file. Not needed with a `digest` of one that `policy add` has stored.
    file: Option<PathBuf>,
    /// SHA-256 of the component, 64 hexadecimal digits; another component is refused.
    digest: Option<String>,
    /// Settings, which the policy itself checks.
    #[serde(default)]
    settings: Map<String, Value>,
    /// Whether it only reports, and changes nothing.
    #[serde(default)]
    shadow: bool,
    /// Limits of its own, narrower than those of `[policies]`.
    #[serde(default)]
    limits: OwnLimits,
}

/// `limits` of one policy; what is left out is as in `[policies]`, which none may exceed.
#[derive(Default, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
struct OwnLimits {
    /// Bytes of linear memory of one instance, summed over all its memories; at least 1 MiB.
    memory_bytes_max: Option<usize>,
    /// Bytes that the policy may return in one call; at least 1.
    hostcall_fuel: Option<usize>,
    /// WebAssembly instructions (about) for one instantiation and one batch; at least 1000000.
    fuel_max: Option<u64>,
    /// Milliseconds of one instantiation and one batch, at least 100.
    deadline_ms: Option<u64>,
    /// Findings in one document; at least 1.
    findings_max: Option<usize>,
    /// Bytes of leaves that are searched for the literals of one document's findings; at least 1.
    literal_search_bytes_max: Option<usize>,
}

impl OwnLimits {
    fn check(self, key: &str, all: &Limits) -> Result<Limits, ConfigError> {
        fn narrower<T: Copy + PartialOrd + fmt::Display>(
            key: &str,
            name: &str,
            own: Option<T>,
            least: T,
            most: T,
        ) -> Result<T, ConfigError> {
            match own {
                None => Ok(most),
                Some(own) if least <= own && own <= most => Ok(own),
                Some(_) => Err(value(
                    format!("{key}.{name}"),
                    format!(
                        "must be between {least} and {most}, which is `policies.{name}`: a policy's own limit only narrows it"
                    ),
                )),
            }
        }
        Ok(Limits {
            memory_bytes_max: narrower(
                key,
                "memory_bytes_max",
                self.memory_bytes_max,
                1 << 20,
                all.memory_bytes_max,
            )?,
            hostcall_fuel: narrower(key, "hostcall_fuel", self.hostcall_fuel, 1, all.hostcall_fuel)?,
            fuel_max: narrower(key, "fuel_max", self.fuel_max, 1_000_000, all.fuel_max)?,
            deadline_ms: narrower(key, "deadline_ms", self.deadline_ms, 100, all.deadline_ms)?,
            findings_max: narrower(key, "findings_max", self.findings_max, 1, all.findings_max)?,
            literal_search_bytes_max: narrower(
                key,
                "literal_search_bytes_max",
                self.literal_search_bytes_max,
                1,
                all.literal_search_bytes_max,
            )?,
            ..all.clone()
        })
    }
}

/// Checks the policies of the mirror whose table has this key, in their order.
pub(super) fn policies(
    key: &str,
    policies: Vec<Policy>,
    base: &Path,
    data_dir: &Path,
    limits: &Limits,
) -> Result<Vec<PolicySpec>, ConfigError> {
    if policies.len() > POLICIES_MAX {
        return Err(value(
            key,
            format!("has {} policies, and {POLICIES_MAX} are allowed", policies.len()),
        ));
    }
    let mut names = BTreeSet::new();
    let mut checked = Vec::with_capacity(policies.len());
    for (n, policy) in policies.into_iter().enumerate() {
        let key = format!("{key}[{n}]");
        let policy = policy.check(&key, base, data_dir, limits)?;
        if !names.insert(policy.name.clone()) {
            return Err(value(
                format!("{key}.name"),
                format!("`{}` is the name of two policies of this mirror", policy.name),
            ));
        }
        checked.push(policy);
    }
    Ok(checked)
}

impl Policy {
    fn check(self, key: &str, base: &Path, data_dir: &Path, all: &Limits) -> Result<PolicySpec, ConfigError> {
        let Self {
            name,
            file,
            digest,
            settings,
            shadow,
            limits,
        } = self;
        let key = |member: &str| format!("{key}.{member}");
        if !PolicySpec::is_name(&name) {
            return Err(value(key("name"), "must be 1 to 40 characters of a-z, 0-9 and -"));
        }
        if PolicySpec::is_reserved(&name) {
            return Err(value(
                key("name"),
                format!("`{name}` is the name of what is built in; choose another, such as `own-{name}`"),
            ));
        }
        let digest = digest.map(|digest| {
            digest
                .strip_prefix("sha256:")
                .map_or(digest.clone(), str::to_owned)
        });
        let is_digest = |digest: &String| {
            digest.len() == 64
                && digest
                    .bytes()
                    .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        if digest.as_ref().is_some_and(|digest| !is_digest(digest)) {
            return Err(value(
                key("digest"),
                "must be the SHA-256 of the component, 64 hexadecimal digits in lower case, as `kbc-mirror policy inspect` tells it",
            ));
        }
        let file = match (file, &digest) {
            (Some(file), _) => base.join(file),
            (None, Some(digest)) => PolicySpec::stored(data_dir, digest),
            (None, None) => {
                return Err(value(
                    key("file"),
                    "is missing: name the component's file, or the `digest` of one that `kbc-mirror policy add` has stored",
                ));
            }
        };
        let settings = Value::Object(settings).to_string();
        if settings.len() > SETTINGS_BYTES_MAX {
            return Err(value(
                key("settings"),
                format!("have more than {SETTINGS_BYTES_MAX} bytes as JSON"),
            ));
        }
        Ok(PolicySpec {
            name,
            file,
            digest,
            settings,
            limits: limits.check(&key("limits"), all)?,
            shadow,
        })
    }
}
