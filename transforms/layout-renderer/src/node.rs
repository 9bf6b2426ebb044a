//! Ends of edges: objects of this branch, things of other projects, and what cannot be resolved.

use crate::{
    api::ObjectKey,
    json::{Json, Object, write},
    settings::Settings,
};
use std::borrow::Cow;

/// One end of an edge.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Node {
    Config {
        component: String,
        config: String,
    },
    Row {
        component: String,
        config: String,
        row: String,
    },
    Table(String),
    Bucket(String),
    /// Of another project.
    ForeignTable {
        project: String,
        table: String,
    },
    /// Of another project.
    ForeignBucket {
        project: String,
        bucket: String,
    },
    /// Tables that a run finds by their metadata: which, only the run knows.
    Search {
        key: String,
        value: String,
    },
    /// Files that carry all of these tags.
    FileTags(Vec<String>),
    FileQuery(String),
    /// A text that names no table as it stands, such as one with a variable in it.
    Unresolved(String),
}

impl Node {
    /// Returns the end that a configuration or row is, and none for other objects.
    pub(crate) fn of(key: &ObjectKey) -> Option<Self> {
        match key {
            ObjectKey::Config { component, config } => Some(Self::config(component, config)),
            ObjectKey::Row {
                component,
                config,
                row,
            } => Some(Self::row(component, config, row)),
            ObjectKey::Table(id) => Some(Self::Table(id.clone())),
            ObjectKey::Bucket(id) => Some(Self::Bucket(id.clone())),
            ObjectKey::Branch | ObjectKey::Sample(_) | ObjectKey::Job(_) => None,
        }
    }

    pub(crate) fn config(component: &str, config: &str) -> Self {
        Self::Config {
            component: component.to_owned(),
            config: config.to_owned(),
        }
    }

    pub(crate) fn row(component: &str, config: &str, row: &str) -> Self {
        Self::Row {
            component: component.to_owned(),
            config: config.to_owned(),
            row: row.to_owned(),
        }
    }

    /// Reads what a mapping names as a table.
    pub(crate) fn table_named(text: &str) -> Self {
        let mut parts = text.splitn(3, '.');
        let is_stage = matches!(parts.next(), Some("in" | "out" | "sys"));
        let is_named = parts.next().is_some_and(|bucket| !bucket.is_empty())
            && parts.next().is_some_and(|table| !table.is_empty());
        if is_stage && is_named && !text.contains("{{") && !text.contains('*') {
            Self::Table(text.to_owned())
        } else {
            Self::Unresolved(text.to_owned())
        }
    }

    /// Returns the members by which files name it.
    pub(crate) fn to_object(&self) -> Object<'_> {
        match self {
            Self::Config { component, config } => {
                Object::from_iter([("componentId", component.as_str()), ("configId", config)])
            }
            Self::Row {
                component,
                config,
                row,
            } => Object::from_iter([
                ("componentId", component.as_str()),
                ("configId", config),
                ("rowId", row),
            ]),
            Self::Table(id) => Object::from_iter([("table", id.as_str())]),
            Self::Bucket(id) => Object::from_iter([("bucket", id.as_str())]),
            Self::ForeignTable { project, table } => {
                Object::from_iter([("projectId", project.as_str()), ("table", table)])
            }
            Self::ForeignBucket { project, bucket } => {
                Object::from_iter([("projectId", project.as_str()), ("bucket", bucket)])
            }
            Self::Search { key, value } => {
                let search = Object::from_iter([("key", key.as_str()), ("value", value)]);
                Object::from_iter([("search", search)])
            }
            Self::FileTags(tags) => {
                let tags: Vec<Json<'_>> = tags.iter().map(|tag| Json::from(tag.as_str())).collect();
                Object::from_iter([("fileTags", tags)])
            }
            Self::FileQuery(query) => Object::from_iter([("fileQuery", query.as_str())]),
            Self::Unresolved(text) => Object::from_iter([("unresolved", text.as_str())]),
        }
    }

    /// Reads [`to_object`](Self::to_object) back.
    pub(crate) fn read(object: &Object<'_>) -> Option<Self> {
        let text = |key: &str| object.str(key).map(str::to_owned);
        if let Some(component) = text("componentId") {
            let config = text("configId")?;
            return Some(match text("rowId") {
                Some(row) => Self::Row {
                    component,
                    config,
                    row,
                },
                None => Self::Config { component, config },
            });
        }
        match (text("projectId"), text("table"), text("bucket")) {
            (Some(project), Some(table), _) => return Some(Self::ForeignTable { project, table }),
            (Some(project), _, Some(bucket)) => return Some(Self::ForeignBucket { project, bucket }),
            (None, Some(table), _) => return Some(Self::Table(table)),
            (None, _, Some(bucket)) => return Some(Self::Bucket(bucket)),
            _ => {}
        }
        if let Some(search) = object.object("search") {
            return Some(Self::Search {
                key: search.str("key")?.to_owned(),
                value: search.str("value")?.to_owned(),
            });
        }
        if let Some(tags) = object.get("fileTags").and_then(Json::as_array) {
            let tags = tags.iter().map(|tag| tag.as_str().map(str::to_owned));
            return Some(Self::FileTags(tags.collect::<Option<_>>()?));
        }
        text("fileQuery")
            .map(Self::FileQuery)
            .or_else(|| text("unresolved").map(Self::Unresolved))
    }

    /// Returns a short text that names an object of this branch, for the keys of entries: they are kept in
    /// memory for all objects. What is no such object has a text that is not read back.
    pub(crate) fn key(&self) -> String {
        match self {
            Self::Config { component, config } => [&escaped(component), "/", &escaped(config)].concat(),
            Self::Row {
                component,
                config,
                row,
            } => [&escaped(component), "/", &escaped(config), "/", &escaped(row)].concat(),
            Self::Table(id) => ["table:", &escaped(id)].concat(),
            Self::Bucket(id) => ["bucket:", &escaped(id)].concat(),
            other => write::object_line(&other.to_object()),
        }
    }

    /// Returns a text that names it within its catalog shard.
    pub(crate) fn key_in_shard(&self) -> String {
        match self {
            Self::Config { config, .. } => escaped(config).into_owned(),
            Self::Row { config, row, .. } => [&escaped(config), "/", &escaped(row)].concat(),
            Self::Table(id) => {
                let name = bucket_of(id).map_or(id.as_str(), |bucket| &id[bucket.len() + 1..]);
                ["table:", &escaped(name)].concat()
            }
            Self::Bucket(_) => "bucket".to_owned(),
            other => other.key(),
        }
    }

    /// Reads [`key`](Self::key) back.
    pub(crate) fn parse_key(text: &str) -> Option<Self> {
        match text.split('/').collect::<Vec<_>>().as_slice() {
            [one] => {
                let (kind, id) = one.split_once(':')?;
                let id = unescaped(id)?;
                match kind {
                    "table" => Some(Self::Table(id)),
                    "bucket" => Some(Self::Bucket(id)),
                    _ => None,
                }
            }
            [component, config] => Some(Self::config(&unescaped(component)?, &unescaped(config)?)),
            [component, config, row] => Some(Self::row(
                &unescaped(component)?,
                &unescaped(config)?,
                &unescaped(row)?,
            )),
            _ => None,
        }
    }

    /// Returns the catalog shard that lists it; none for what is not of this branch.
    pub(crate) fn catalog_shard(&self, settings: &Settings) -> Option<String> {
        let name = match self {
            Self::Config { component, .. } | Self::Row { component, .. } => ["component/", component],
            Self::Bucket(id) => ["storage/", id],
            Self::Table(id) => ["storage/", bucket_of(id).unwrap_or("%")],
            _ => return None,
        };
        Some(settings.shard(name))
    }

    /// Returns the lineage shard that its own file is made of; none for what has no such file.
    pub(crate) fn lineage_shard(&self, settings: &Settings) -> Option<String> {
        match self {
            Self::Table(id) => Some(settings.shard(["table/", id])),
            Self::Bucket(id) => Some(settings.shard(["bucket/", id])),
            _ => None,
        }
    }
}

/// Writes an id so that it can be told from what stands around it in a key.
fn escaped(id: &str) -> Cow<'_, str> {
    if id.bytes().any(|byte| matches!(byte, b'%' | b'/' | b':')) {
        Cow::Owned(id.replace('%', "%25").replace('/', "%2F").replace(':', "%3A"))
    } else {
        Cow::Borrowed(id)
    }
}

/// Reads what [`escaped`] wrote; none for what it never writes.
fn unescaped(text: &str) -> Option<String> {
    let id = text.replace("%2F", "/").replace("%3A", ":").replace("%25", "%");
    (!id.is_empty() && escaped(&id) == text).then_some(id)
}

/// Returns the bucket's part of a table's id: neither stage nor bucket may hold more dots.
pub(crate) fn bucket_of(table: &str) -> Option<&str> {
    table.match_indices('.').nth(1).map(|(dot, _)| &table[..dot])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_read_back_as_they_were_written() {
        let text = str::to_owned;
        let nodes = [
            Node::config("keboola.x", "a/\"b"),
            Node::row("keboola.x", "1", "2"),
            Node::Table(text("in.c-main.orders")),
            Node::Bucket(text("in.c-main")),
            Node::ForeignTable {
                project: text("9"),
                table: text("in.c-main.orders"),
            },
            Node::ForeignBucket {
                project: text("9"),
                bucket: text("in.c-main"),
            },
            Node::Search {
                key: text("k"),
                value: text("v"),
            },
            Node::FileTags(vec![text("a"), text("b")]),
            Node::FileQuery(text("name:x")),
            Node::Unresolved(text("{{ bucket }}.orders")),
        ];
        for node in nodes {
            assert_eq!(Node::read(&node.to_object()), Some(node.clone()));
            let is_ours = matches!(
                node,
                Node::Config { .. } | Node::Row { .. } | Node::Table(_) | Node::Bucket(_)
            );
            assert_eq!(Node::parse_key(&node.key()), is_ours.then_some(node));
        }
        for id in ["%2F", "a/b:c%", "table:x", "%252F"] {
            let node = Node::row(id, id, id);
            assert_eq!(Node::parse_key(&node.key()), Some(node));
        }
        for foreign in [
            "x",
            "c:1",
            "c/",
            "a/b/c/d",
            "c/%zz",
            "c/%",
            "",
            r#"{"search":{}}"#,
        ] {
            assert_eq!(Node::parse_key(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn only_a_whole_table_id_is_a_table() {
        for id in ["in.c-main.orders", "out.main.a.b", "sys.c-x.t"] {
            assert_eq!(Node::table_named(id), Node::Table(id.to_owned()));
        }
        for text in [
            "orders",
            "in.c-main",
            "in.c-main.",
            "in..orders",
            "x.c-main.orders",
            "in.{{ b }}.o",
            "in.c-main.*",
            "",
        ] {
            assert_eq!(
                Node::table_named(text),
                Node::Unresolved(text.to_owned()),
                "{text}"
            );
        }
    }
}
