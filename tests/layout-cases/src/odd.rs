//! Projects of odd objects: members that are missing or of another type, ids and names that only case or accents tell apart,
//! deep values, numbers that nobody can hold, references to anything. All that a seed makes is the same everywhere.

use std::{fmt::Write as _, fs, io, path::Path};

/// Components by id, type, whether they have blocks, and the stage of their default buckets.
const COMPONENTS: [(&str, &str, bool, &str); 13] = [
    ("acme.ex-shop", "extractor", false, "in"),
    ("acme-ex-shop", "extractor", false, "in"),
    ("Acme.ex-shop", "extractor", false, "out"),
    ("acme.wr-odd", "writer", false, ""),
    ("kds-team.app-custom-python", "application", false, ""),
    ("keboola.app-data-gateway", "application", false, ""),
    ("keboola.data-apps", "other", false, ""),
    ("keboola.orchestrator", "other", false, ""),
    ("keboola.python-transformation-v2", "transformation", true, ""),
    ("keboola.scheduler", "other", false, ""),
    ("keboola.shared-code", "other", false, ""),
    ("keboola.snowflake-transformation", "transformation", true, "out"),
    ("keboola.variables", "other", false, ""),
];

const IDS: [&str; 10] = ["1", "2", "v", "V", "a-b", "1.2", "é", "e\u{301}", "con", "x y"];

const TEXTS: [&str; 24] = [
    "",
    " ",
    "a",
    "A",
    "a-001",
    "é",
    "e\u{301}",
    "日本",
    "ẞ",
    "ß",
    "ss",
    "İ",
    "ı",
    "CON",
    "aux.txt",
    "..",
    "a/b",
    "a\\b",
    "\u{0}\u{7f}",
    "Line\r\n\t ",
    "{{1}}",
    "{{ v }}",
    "\u{2028}\u{feff}",
    "# not a secret",
];

const NUMBERS: [&str; 12] = [
    "0",
    "-0",
    "1.0",
    "1e3",
    "9007199254740993",
    "12345678901234567890123",
    "1e400",
    "-1e-400",
    "0.1e-6",
    "1E+21",
    "562949953421312.25",
    "4.9e-324",
];

const KEYS: [&str; 24] = [
    "id",
    "name",
    "Name",
    "phase",
    "phases",
    "tasks",
    "dependsOn",
    "task",
    "componentId",
    "configId",
    "configData",
    "enabled",
    "blocks",
    "codes",
    "script",
    "SCRIPT",
    "code",
    "parameters",
    "storage",
    "source",
    "db",
    "a/b~c",
    "",
    "é",
];

/// Numbers of a seed.
struct Odds(u64);

impl Odds {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap_or(1)).unwrap_or(0)
    }

    fn one_in(&mut self, end: usize) -> bool {
        self.below(end) == 0
    }

    fn of<'t>(&mut self, items: &[&'t str]) -> &'t str {
        items[self.below(items.len())]
    }

    fn text(&mut self) -> String {
        match self.below(12) {
            0 => "n".repeat(self.below(400)),
            1 => "ř".repeat(120 + self.below(20)),
            _ => [self.of(&TEXTS), self.of(&["", "", "x", "é"])].concat(),
        }
    }

    /// Some value, which goes so deep.
    fn value(&mut self, depth: usize) -> String {
        match self.below(if depth == 0 { 6 } else { 9 }) {
            0 => "null".to_owned(),
            1 => self.of(&["true", "false"]).to_owned(),
            2 => self.of(&NUMBERS).to_owned(),
            3 => quoted(self.of(&IDS)),
            4 | 5 => quoted(&self.text()),
            6 => {
                let items: Vec<String> = (0..self.below(4)).map(|_| self.value(depth - 1)).collect();
                format!("[{}]", items.join(","))
            }
            _ => {
                let members = (0..self.below(5)).map(|_| (self.of(&KEYS).to_owned(), self.value(depth - 1)));
                object(members.collect::<Vec<_>>())
            }
        }
    }

    /// What should stand there, or at times anything.
    fn mostly(&mut self, value: String) -> String {
        if self.one_in(8) { self.value(2) } else { value }
    }

    fn id(&mut self) -> String {
        let id = quoted(self.of(&IDS));
        self.mostly(id)
    }

    fn list(&mut self, end: usize, item: fn(&mut Self) -> String) -> String {
        let items: Vec<String> = (0..self.below(end)).map(|_| item(self)).collect();
        let list = format!("[{}]", items.join(","));
        self.mostly(list)
    }

    fn members(&mut self, members: Vec<(&str, String)>) -> String {
        let mut kept = Vec::new();
        for (key, value) in members {
            if !self.one_in(7) {
                let value = self.mostly(value);
                kept.push((key.to_owned(), value));
            }
        }
        for _ in 0..self.below(3) {
            kept.push((self.of(&KEYS).to_owned(), self.value(2)));
        }
        // A key that stands twice counts where it stands last.
        object(kept)
    }

    fn component(&mut self) -> String {
        COMPONENTS[self.below(COMPONENTS.len())].0.to_owned()
    }

    fn task(&mut self) -> String {
        let component = quoted(&self.component());
        let config = self.id();
        let target = self.members(vec![("componentId", component), ("configId", config)]);
        let (id, phase, name) = (self.id(), self.id(), quoted(&self.text()));
        self.members(vec![
            ("id", id),
            ("name", name),
            ("phase", phase),
            ("task", target),
        ])
    }

    fn phase(&mut self) -> String {
        let (id, name) = (self.id(), quoted(&self.text()));
        let above = self.list(3, Self::id);
        self.members(vec![("id", id), ("name", name), ("dependsOn", above)])
    }

    fn script(&mut self) -> String {
        match self.below(3) {
            0 => quoted(&format!("{{{{{}}}}}", self.of(&IDS))),
            _ => quoted(&self.text()),
        }
    }

    fn code(&mut self) -> String {
        let name = quoted(&self.text());
        let script = self.list(4, Self::script);
        self.members(vec![("name", name), ("script", script)])
    }

    fn block(&mut self) -> String {
        let name = quoted(&self.text());
        let codes = self.list(3, Self::code);
        self.members(vec![("name", name), ("codes", codes)])
    }

    fn mapping(&mut self) -> String {
        let (stage, component, config) = (self.of(&["in", "out", "sys"]), self.component(), self.of(&IDS));
        let table = self.of(&["t", "t.u", "", "T"]);
        let source = format!("{stage}.c-{}-{config}.{table}", component.replace('.', "-"));
        self.members(vec![("source", quoted(&source)), ("destination", quoted("d"))])
    }

    fn configuration(&mut self) -> String {
        let mut members = Vec::new();
        for _ in 0..self.below(5) {
            let member = match self.below(9) {
                0 | 1 => ("variables_id", self.id()),
                2 => ("variables_values_id", self.id()),
                3 => {
                    let tables = self.list(4, Self::mapping);
                    let input = self.members(vec![("tables", tables)]);
                    ("storage", self.members(vec![("input", input)]))
                }
                4 => {
                    let blocks = self.list(3, Self::block);
                    let code = quoted(&self.text());
                    (
                        "parameters",
                        self.members(vec![("blocks", blocks), ("code", code)]),
                    )
                }
                5 => {
                    let (component, config) = (quoted(&self.component()), self.id());
                    let target = vec![("componentId", component), ("configurationId", config)];
                    ("target", self.members(target))
                }
                6 => ("phases", self.list(4, Self::phase)),
                7 => ("tasks", self.list(4, Self::task)),
                _ => ("componentId", quoted(&self.component())),
            };
            members.push(member);
        }
        if self.one_in(3) {
            members.push(("shared_code_id", self.id()));
            members.push(("shared_code_row_ids", self.list(3, Self::id)));
        }
        if self.one_in(3) {
            members.push(("code_content", self.list(3, Self::script)));
        }
        if self.one_in(20) {
            let depth = 40 + self.below(40);
            members.push(("deep", ["[".repeat(depth), "]".repeat(depth)].join("1")));
        }
        self.members(members)
    }

    /// A configuration or row, which always has its id.
    fn item(&mut self, id: &str, more: Vec<(&str, String)>) -> String {
        let (name, description) = (quoted(&self.text()), quoted(&self.text()));
        let configuration = self.configuration();
        let mut members = vec![
            ("name", name),
            ("description", description),
            ("isDisabled", self.of(&["true", "false"]).to_owned()),
            ("version", self.below(9).to_string()),
            ("configuration", configuration),
        ];
        if self.one_in(3) {
            members.push(("currentVersion", self.value(2)));
        }
        let own = self.members(members);
        let more = more.into_iter().map(|(key, value)| (key.to_owned(), value));
        let fixed = object([("id".to_owned(), quoted(id))].into_iter().chain(more).collect());
        let own = &own[1..own.len() - 1];
        let comma = if own.is_empty() { "" } else { "," };
        // The id stands last, so that it counts.
        format!("{{{own}{comma}{}", &fixed[1..])
    }

    fn some_ids(&mut self, end: usize) -> Vec<&'static str> {
        let mut ids = IDS.to_vec();
        while ids.len() > end || (!ids.is_empty() && self.one_in(4)) {
            ids.remove(self.below(ids.len()));
        }
        ids
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for sign in text.chars() {
        match sign {
            '"' | '\\' => out.extend(['\\', sign]),
            sign if sign < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(sign));
            }
            sign => out.push(sign),
        }
    }
    out.push('"');
    out
}

fn object(members: Vec<(String, String)>) -> String {
    let members: Vec<String> = members
        .into_iter()
        .map(|(key, value)| format!("{}:{value}", quoted(&key)))
        .collect();
    format!("{{{}}}", members.join(","))
}

/// Writes the odd project of a seed into a directory, as the API would answer.
///
/// # Errors
/// A directory that cannot be written.
pub fn write(seed: u64, directory: &Path) -> io::Result<()> {
    let mut odds = Odds(seed);
    let mut index = Vec::new();
    let mut listed = Vec::new();
    for (id, kind, has_blocks, stage) in COMPONENTS {
        let flags = if has_blocks {
            "[\"genericCodeBlocksUI\"]"
        } else {
            "[]"
        };
        let data = match stage {
            "" => "[]".to_owned(),
            stage => format!(
                "{{\"default_bucket\":true,\"default_bucket_stage\":{}}}",
                quoted(stage)
            ),
        };
        let about = format!(
            "\"id\":{0},\"type\":\"{kind}\",\"name\":{0},\"flags\":{flags},\"data\":{data}",
            quoted(id)
        );
        index.push(format!("{{{about}}}"));
        let mut configurations = Vec::new();
        for config in odds.some_ids(4) {
            let rows: Vec<String> = odds
                .some_ids(3)
                .into_iter()
                .map(|row| odds.item(row, Vec::new()))
                .collect();
            let rows = vec![("rows", format!("[{}]", rows.join(",")))];
            configurations.push(odds.item(config, rows));
        }
        listed.push(format!(
            "{{{about},\"configurations\":[{}]}}",
            configurations.join(",")
        ));
    }
    let api = directory.join("api");
    let branch = api.join("branch/11");
    fs::create_dir_all(&branch)?;
    fs::write(directory.join("options.json"), "{}")?;
    fs::write(
        api.join("index.json"),
        format!("{{\"components\":[{}]}}", index.join(",")),
    )?;
    fs::write(
        api.join("dev-branches.json"),
        r#"[{"id":11,"name":"Main","isDefault":true}]"#,
    )?;
    fs::write(branch.join("components.json"), format!("[{}]", listed.join(",")))
}
