//! The table of attacks.

use super::{Attack, Must, POLICY, component};

/// The attack that only a compiler in a process of its own contains.
pub(crate) const BUSY_COMPILER: &str = "busy-compiler";

/// Returns all attacks.
#[must_use]
pub fn attacks() -> Vec<Attack> {
    [
        judging(),
        answering(),
        starting(),
        describing(),
        importing(),
        compiling(),
        encoding(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn policy() -> Vec<u8> {
    component(POLICY, "redaction-policy")
}

/// The policy with a text in the place that has this name.
fn with(place: &str, text: &str) -> Vec<u8> {
    let place = format!(";;{place};;");
    assert!(POLICY.contains(&place), "the policy has no such place");
    component(&POLICY.replace(&place, text), "redaction-policy")
}

/// The policy with another text instead of one of its own.
fn instead(of: &str, text: &str) -> Vec<u8> {
    assert!(POLICY.contains(of), "the policy has no such text");
    component(&POLICY.replace(of, text), "redaction-policy")
}

fn text(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("the text is a component or module")
}

/// A component with another in it, in binary form: the text format does not nest so deep.
fn nested(inner: &[u8]) -> Vec<u8> {
    const COMPONENT_SECTION: u8 = 4;
    let mut outer = inner[..8].to_vec();
    section(&mut outer, COMPONENT_SECTION, inner);
    outer
}

/// Adds a section to a component in binary form.
fn section(component: &mut Vec<u8>, id: u8, content: &[u8]) {
    component.push(id);
    let mut length = content.len();
    // LEB128.
    while length >= 128 {
        component.push(u8::try_from(length % 128).unwrap_or_default() | 128);
        length /= 128;
    }
    component.push(u8::try_from(length).unwrap_or_default());
    component.extend(content);
}

/// A function whose locals are all alive all the time.
fn live_locals(count: u32) -> String {
    let locals = "i64 ".repeat(count as usize);
    let step: String = (0..count)
        .map(|n| {
            let next = (n + 1) % count;
            format!("(local.set {n} (i64.add (local.get {n}) (local.get {next})))")
        })
        .collect();
    format!("(func (local {locals}) (loop $again {step} (br_if $again (i64.eqz (local.get 0)))))")
}

/// One that a document sets off.
fn order(name: &'static str, trigger: &'static str, about: &'static str, must: Must) -> Attack {
    Attack {
        name,
        about,
        component: policy,
        trigger,
        findings: 1,
        must,
    }
}

/// One whose component is hostile before it has seen anything.
fn made(name: &'static str, component: fn() -> Vec<u8>, about: &'static str, must: Must) -> Attack {
    Attack {
        name,
        about,
        component,
        trigger: "between",
        findings: 1,
        must,
    }
}

fn judging() -> Vec<Attack> {
    use Must::{Fail, Withhold};
    vec![
        order("trap", "!t", "traps", Withhold("trapped")),
        order("endless-loop", "!l", "loops for ever", Withhold("fuel_max")),
        made(
            "loop-in-wait",
            || with("FOUND", "(i32.store offset=4 (local.get $list) (i32.const 0))"),
            "is good to all documents but one, on which it loops for ever",
            Withhold("fuel_max"),
        )
        .set_off_by("!l")
        .that_finds_nothing(),
        order("memory-bomb", "!m", "allocates until it is refused, then traps", Withhold("memory_bytes_max")),
        order("memory-hoarder", "!g", "allocates until it is refused, and lives with it", Fail),
        order("deep-recursion", "!r", "recurses for ever", Withhold("wasm_stack_bytes_max")),
        order("bulk-fill", "!F", "fills its memory again and again", Withhold("fuel_max")),
        order("division-by-zero", "!0", "divides by zero", Withhold("trapped")),
        order("wild-read", "!9", "reads outside of its memory", Withhold("trapped")),
        made(
            "table-bomb",
            || {
                let grow = "(loop $more (br_if $more (i32.ne (table.grow $bomb (ref.null func) (i32.const 10000)) (i32.const -1)))) unreachable";
                let each = format!("(if (i32.eq (i32.load offset=32 (local.get $document)) (i32.const 0)) (then (br $next)))
                    (if (i32.eq (i32.load8_u (i32.load offset=12 (i32.load offset=28 (local.get $document)))) (i32.const 0x7e)) (then {grow}))");
                let text = POLICY
                    .replace(";;START;;", "(table $bomb 1 funcref)")
                    .replace(";;EACH;;", &each);
                component(&text, "redaction-policy")
            },
            "grows a table until it is refused",
            Withhold("table_elements_max"),
        )
        .set_off_by("~"),
        made(
            "state-between-calls",
            || {
                // What a document says is answered with the next one, if anything is left of it.
                with("START", "(global $last (mut i32) (i32.const 0)) (func $remember (if (global.get $last) (then unreachable)) (global.set $last (i32.const 1))) (start $remember)")
            },
            "keeps something from one call to the next",
            Fail,
        ),
    ]
}

impl Attack {
    fn that_finds_nothing(mut self) -> Self {
        self.findings = 0;
        self
    }

    fn set_off_by(mut self, trigger: &'static str) -> Self {
        self.trigger = trigger;
        self
    }
}

fn answering() -> Vec<Attack> {
    use Must::{Fail, Withhold};
    vec![
        order(
            "huge-text",
            "!h",
            "returns a text of 8 MiB",
            Withhold("hostcall_fuel"),
        ),
        order(
            "many-findings",
            "!q",
            "returns 20,000 findings",
            Withhold("findings_max"),
        ),
        order(
            "endless-list",
            "!Q",
            "says that it has 268 million findings",
            Withhold("malformed"),
        ),
        order(
            "invalid-utf-8",
            "!x",
            "returns a text that is no UTF-8",
            Withhold("malformed"),
        ),
        order(
            "wild-text",
            "!p",
            "returns a text outside of its memory",
            Withhold("malformed"),
        ),
        order(
            "wild-answer",
            "!A",
            "returns an answer outside of its memory",
            Withhold("malformed"),
        ),
        order(
            "odd-answer",
            "!a",
            "returns an answer at an odd address",
            Withhold("malformed"),
        ),
        order(
            "unknown-case",
            "!d",
            "returns a target of a kind that is not there",
            Withhold("malformed"),
        ),
        order(
            "unknown-leaf",
            "!o",
            "names a leaf that is not there",
            Withhold("malformed"),
        ),
        order(
            "unknown-rule",
            "!u",
            "names a rule that is not there",
            Withhold("malformed"),
        ),
        order(
            "cut-character",
            "!cé",
            "returns a range that ends inside of a character",
            Withhold("malformed"),
        ),
        order(
            "reversed-range",
            "!b",
            "returns a range that ends before it starts",
            Withhold("malformed"),
        ),
        order(
            "empty-range",
            "!v",
            "returns an empty range",
            Withhold("malformed"),
        ),
        order(
            "range-beyond",
            "!w",
            "returns a range beyond the text",
            Withhold("malformed"),
        ),
        order(
            "absent-literal",
            "!n",
            "names a text that does not occur",
            Withhold("malformed"),
        ),
        order(
            "empty-literal",
            "!z",
            "names the empty text",
            Withhold("malformed"),
        ),
        order("overlapping-ranges", "!O", "returns ranges that overlap", Fail),
        order(
            "one-answer-more",
            "!L",
            "answers on more documents than there are",
            Withhold("malformed"),
        ),
        order(
            "no-answer",
            "!K",
            "answers on fewer documents than there are",
            Withhold("malformed"),
        ),
        order(
            "error",
            "!e",
            "refuses a document with control characters in its words",
            Withhold("refused"),
        ),
        order(
            "error-of-all",
            "!E",
            "refuses without saying which document",
            Withhold("refused"),
        ),
        order(
            "error-of-nobody",
            "!f",
            "refuses a document that is not there",
            Withhold("refused"),
        ),
    ]
}

fn starting() -> Vec<Attack> {
    use Must::BeRefused;
    vec![
        made(
            "start-loops",
            || with("START", "(func $s (loop $for_ever (br $for_ever))) (start $s)"),
            "loops for ever before its first call",
            BeRefused("fuel_max"),
        ),
        made(
            "start-traps",
            || with("START", "(func $s unreachable) (start $s)"),
            "traps before its first call",
            BeRefused("trapped"),
        ),
        made(
            "start-recurses",
            || with("START", "(func $s (call $s) (call $s)) (start $s)"),
            "recurses for ever before its first call",
            BeRefused("wasm_stack_bytes_max"),
        ),
        made(
            "large-memory",
            || with("START", "(memory 65536)"),
            "has 4 GiB of memory",
            BeRefused("memory_bytes_max"),
        ),
        made(
            "memories-in-sum",
            || with("START", "(memory 700) (memory 700)"),
            "has memories that are too large only in sum",
            BeRefused("memory_bytes_max"),
        ),
        made(
            "many-memories",
            || with("START", "(memory 1) (memory 1) (memory 1) (memory 1)"),
            "has five memories",
            BeRefused("memories_max"),
        ),
        made(
            "large-table",
            || with("START", "(table 10000000 funcref)"),
            "has a table of ten million elements",
            BeRefused("table_elements_max"),
        ),
        made(
            "many-tables",
            || with("START", &"(table 1 funcref)".repeat(20)),
            "has twenty tables",
            BeRefused("tables_max"),
        ),
        made(
            "many-instances",
            || {
                const CORE_MODULE_SECTION: u8 = 1;
                const CORE_INSTANCE_SECTION: u8 = 2;
                let module = b"\0asm\x01\0\0\0";
                // The policy has one module; this is of the next one, and takes no arguments.
                let instances: Vec<u8> = [0x84, 0x07].into_iter().chain([0, 1, 0].repeat(900)).collect();
                let mut bytes = policy();
                section(&mut bytes, CORE_MODULE_SECTION, module);
                section(&mut bytes, CORE_INSTANCE_SECTION, &instances);
                bytes
            },
            "has 900 instances",
            BeRefused("instances_max"),
        ),
        made(
            "realloc-traps",
            || with("REALLOC", "unreachable"),
            "traps when it is asked for memory",
            BeRefused("trapped"),
        ),
        made(
            "realloc-loops",
            || with("REALLOC", "(loop $for_ever (br $for_ever))"),
            "loops for ever when it is asked for memory",
            BeRefused("fuel_max"),
        ),
        made(
            "realloc-lies",
            || with("REALLOC", "(return (i32.const 0x7ffffff0))"),
            "gives memory that it does not have",
            BeRefused(""),
        ),
    ]
}

fn describing() -> Vec<Attack> {
    use Must::BeRefused;
    vec![
        made(
            "describe-traps",
            || with("DESCRIBE", "unreachable"),
            "traps when asked what it is",
            BeRefused("trapped"),
        ),
        made(
            "describe-loops",
            || with("DESCRIBE", "(loop $for_ever (br $for_ever))"),
            "loops for ever when asked what it is",
            BeRefused("fuel_max"),
        ),
        made(
            "million-rules",
            || {
                instead(
                    r"\40\00\00\00\01\00\00\00\00\00\00\00\00\00\00\00",
                    r"\40\00\00\00\40\42\0f\00\00\00\00\00\00\00\00\00",
                )
            },
            "says that it has a million rules",
            BeRefused(""),
        ),
        made(
            "rule-injects",
            || {
                instead(
                    "(data (i32.const 272) \"test-rule\")",
                    "(data (i32.const 272) \"a:0]\\0a#[x\")",
                )
            },
            "has a rule whose name would end the marker and begin a line",
            BeRefused("1 to 40 characters"),
        ),
        made(
            "configure-traps",
            || with("CONFIGURE", "unreachable"),
            "traps at its settings",
            BeRefused("trapped"),
        ),
        made(
            "configure-loops",
            || with("CONFIGURE", "(loop $for_ever (br $for_ever))"),
            "loops for ever at its settings",
            BeRefused("fuel_max"),
        ),
        made(
            "configure-refuses",
            || with("CONFIGURE", "(return (i32.const 128))"),
            "refuses whatever settings",
            BeRefused("refuses its settings"),
        ),
    ]
}

fn importing() -> Vec<Attack> {
    use Must::BeRefused;
    fn imports(import: &str) -> Vec<u8> {
        text(&format!("(component {import})"))
    }
    vec![
        made(
            "imports-wasi",
            || {
                imports(
                    r#"(import "wasi:filesystem/preopens@0.2.0" (instance (export "get-directories" (func))))"#,
                )
            },
            "wants files",
            BeRefused("wasi:filesystem/preopens@0.2.0"),
        ),
        made(
            "imports-clock",
            || {
                imports(
                    r#"(import "wasi:clocks/monotonic-clock@0.2.0" (instance (export "now" (func (result u64)))))"#,
                )
            },
            "wants a clock",
            BeRefused("wasi:clocks/monotonic-clock@0.2.0"),
        ),
        made(
            "imports-random",
            || {
                imports(
                    r#"(import "wasi:random/random@0.2.0" (instance (export "get-random-u64" (func (result u64)))))"#,
                )
            },
            "wants randomness",
            BeRefused("wasi:random/random@0.2.0"),
        ),
        made(
            "imports-sockets",
            || {
                imports(
                    r#"(import "wasi:sockets/tcp@0.2.0" (instance (export "tcp-socket" (type (sub resource)))))"#,
                )
            },
            "wants the network",
            BeRefused("wasi:sockets/tcp@0.2.0"),
        ),
        made(
            "imports-log",
            || {
                imports(
                    r#"(import "keboola:mirror/log@0.1.0" (instance (export "write" (func (param "text" string)))))"#,
                )
            },
            "wants a log, which would be a way out",
            BeRefused("keboola:mirror/log@0.1.0"),
        ),
        made(
            "imports-module",
            || imports(r#"(import "m" (core module (export "f" (func))))"#),
            "wants a module of the host",
            BeRefused("it imports `m`"),
        ),
        made(
            "headless",
            || policy().split_off(8),
            "lacks its head",
            BeRefused("not a WebAssembly component"),
        ),
        made(
            "other-types",
            || {
                text(
                    r#"(component
                    (core module $m (func (export "f")))
                    (core instance $i (instantiate $m))
                    (func $f (canon lift (core func $i "f")))
                    (instance $e (export "describe" (func $f)) (export "configure" (func $f)) (export "redact" (func $f)))
                    (export "keboola:mirror/redaction@0.1.0" (instance $e)))"#,
                )
            },
            "has functions of other types under the right names",
            BeRefused("not of `keboola:mirror@0.1`"),
        ),
    ]
}

fn compiling() -> Vec<Attack> {
    use Must::BeRefused;
    vec![
        made(
            "many-locals",
            || {
                let locals = "i64 ".repeat(40_000);
                text(&format!("(component (core module (func (local {locals}))))"))
            },
            "has 40,000 locals, which keep a compiler busy for minutes",
            BeRefused("locals_max"),
        ),
        made(
            BUSY_COMPILER,
            || {
                let function = live_locals(4_000);
                text(&format!("(component (core module {}))", function.repeat(40)))
            },
            "keeps as many locals alive as are allowed, over and over: a minute's work for the compiler",
            BeRefused("compile_cpu_seconds_max"),
        ),
        made(
            "long-function",
            || {
                let body = "(drop (i64.const 0x7fffffffffffffff))".repeat(100_000);
                text(&format!("(component (core module (func {body})))"))
            },
            "has a function of more than a MiB",
            BeRefused("body_bytes_max"),
        ),
        made(
            "many-functions",
            || text(&format!("(component (core module {}))", "(func)".repeat(60_000))),
            "has 60,000 functions",
            BeRefused("functions_max"),
        ),
        made(
            "large-component",
            || {
                let mut bytes = policy();
                // A custom section without end.
                bytes.resize(33 << 20, 0);
                bytes
            },
            "has 33 MiB",
            BeRefused("component_bytes_max"),
        ),
        made(
            "nested-components",
            || (0..150).fold(text("(component)"), |inner, _| nested(&inner)),
            "is nested 150 deep",
            BeRefused(""),
        ),
        made(
            "doubling-types",
            || {
                let types: String = (1..40)
                    .map(|n| format!("(type $t{n} (tuple $t{} $t{}))", n - 1, n - 1))
                    .collect();
                text(&format!("(component (type $t0 (tuple u8 u8)) {types})"))
            },
            "has a type of 2^40 parts",
            BeRefused(""),
        ),
        made(
            "deep-blocks",
            || {
                let (open, close) = ("block ".repeat(20_000), "end ".repeat(20_000));
                text(&format!("(component (core module (func {open}{close})))"))
            },
            "has 20,000 blocks in each other",
            BeRefused(""),
        ),
    ]
}

fn encoding() -> Vec<Attack> {
    use Must::BeRefused;
    vec![
        made(
            "core-module",
            || text("(module)"),
            "is no component",
            BeRefused("core module"),
        ),
        made(
            "nothing",
            Vec::new,
            "is empty",
            BeRefused("not a WebAssembly component"),
        ),
        made(
            "garbage",
            || b"MZ\x90\x00 not WebAssembly at all".to_vec(),
            "is something else",
            BeRefused("not a WebAssembly component"),
        ),
        made(
            "truncated",
            || {
                let mut bytes = policy();
                bytes.truncate(bytes.len() / 2);
                bytes
            },
            "ends in the middle",
            BeRefused("malformed"),
        ),
        made(
            "damaged",
            || {
                let mut bytes = policy();
                let at = bytes.len() / 3;
                bytes[at..at + 40].fill(0xff);
                bytes
            },
            "is damaged",
            BeRefused(""),
        ),
        made(
            "wide-memory",
            || text("(component (core module (memory i64 1)))"),
            "has a 64-bit memory",
            BeRefused(""),
        ),
        made(
            "shared-memory",
            || text("(component (core module (memory 1 1 shared)))"),
            "has a memory for threads",
            BeRefused(""),
        ),
        made(
            "relaxed-simd",
            || {
                text(
                    "(component (core module (func (param v128 v128 v128) (result v128) (f32x4.relaxed_madd (local.get 0) (local.get 1) (local.get 2)))))",
                )
            },
            "has instructions whose results differ between machines",
            BeRefused(""),
        ),
    ]
}
