//! Configurations, their rows and versions, as the Storage API tells them.

use crate::{
    item::{Item, Unread, item, named, readable},
    json::{Members, Problem, object_text},
    project::ComponentInfo,
    text::Text,
};
use jiff::Timestamp;
use mirror_core::ids::{ComponentId, ConfigId, RowId};

/// Who made a change: the token that was used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// Id of the token.
    pub token_id: Option<String>,
    /// An e-mail address for people's own tokens, else the token's description.
    pub description: String,
}

impl Author {
    fn parse(members: &Members<'_>, name: &str) -> Option<Self> {
        let token = members.object(name)?;
        let author = Self {
            token_id: token.text("id"),
            description: token.text_or_empty("description"),
        };
        (author.token_id.is_some() || !author.description.is_empty()).then_some(author)
    }
}

/// One version of a configuration: which, when, by whom and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// Counts from 1 within the configuration.
    pub version: u64,
    /// ULID of the version; none where the API leaves it out.
    pub identifier: Option<String>,
    /// When this version was made; none where the API leaves it out.
    pub created: Option<Timestamp>,
    /// Who made this version; none where the API does not say.
    pub author: Option<Author>,
    pub change_description: String,
    /// Whether this version is a deletion.
    pub is_deleted: bool,
}

impl Revision {
    /// Reads an item of the list of versions, or a past version.
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        Self::of_version(&Members::parse(text)?)
    }

    fn of_version(members: &Members<'_>) -> Result<Self, Problem> {
        Ok(Self {
            version: members.number("version").ok_or("`version` is missing")?,
            identifier: members.text("versionIdentifier").filter(|id| !id.is_empty()),
            created: members.time("created"),
            author: Author::parse(members, "creatorToken"),
            change_description: members.text_or_empty("changeDescription"),
            is_deleted: members.flag("isDeleted"),
        })
    }

    /// Reads the current version of a configuration. Its own `created` and `creatorToken` belong
    /// to the first version.
    fn of_configuration(members: &Members<'_>) -> Result<Self, Problem> {
        let version = members.number("version").ok_or("`version` is missing")?;
        let is_deleted = members.flag("isDeleted");
        let change_description = || members.text_or_empty("changeDescription");
        if let Some(current) = members.object("currentVersion") {
            return Ok(Self {
                version,
                identifier: current.text("versionIdentifier").filter(|id| !id.is_empty()),
                created: current.time("created"),
                author: Author::parse(&current, "creatorToken"),
                change_description: current
                    .text("changeDescription")
                    .unwrap_or_else(change_description),
                is_deleted,
            });
        }
        let is_first = version == 1;
        Ok(Self {
            version,
            identifier: None,
            created: members.time("created").filter(|_| is_first),
            author: Author::parse(members, "creatorToken").filter(|_| is_first),
            change_description: change_description(),
            is_deleted,
        })
    }
}

/// A row of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub id: RowId,
    pub name: String,
    pub version: u64,
    pub version_identifier: Option<String>,
    /// The row's JSON text without `state`.
    pub source: String,
}

impl Row {
    fn parse(text: &str) -> Result<Self, Problem> {
        let members = Members::parse(text)?;
        let id = members.text("id").ok_or("`id` of a row is missing")?;
        Ok(Self {
            id: RowId::parse(&id).map_err(|error| error.to_string())?,
            name: members.text_or_empty("name"),
            version: members.number("version").unwrap_or(0),
            version_identifier: members.text("versionIdentifier").filter(|id| !id.is_empty()),
            source: members.without(&["state"]),
        })
    }
}

/// A configuration with its rows, at one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigurationDetail {
    pub component_id: ComponentId,
    pub id: ConfigId,
    pub name: String,
    pub revision: Revision,
    /// When the first version was made.
    pub first_created: Option<Timestamp>,
    /// JSON text of the configuration without `rows` and `state`, values as received. A past
    /// version has the same members.
    pub source: String,
    /// In the order of the answer.
    pub rows: Vec<Row>,
}

impl ConfigurationDetail {
    pub(crate) fn parse(component_id: &ComponentId, text: &str) -> Result<Self, Problem> {
        let members = Members::parse(text)?;
        Ok(Self {
            component_id: component_id.clone(),
            id: config_id(&members)?,
            name: members.text_or_empty("name"),
            revision: Revision::of_configuration(&members)?,
            first_created: members.time("created"),
            source: members.without(&["rows", "state"]),
            rows: rows(&members)?,
        })
    }

    /// Returns it without content: what is needed to ask for its past versions.
    #[must_use]
    pub fn head(&self) -> Self {
        let source = match Members::parse(&self.source) {
            Ok(members) => object_text(OF_ALL.iter().filter_map(|name| Some((*name, members.raw(name)?)))),
            Err(_) => "{}".into(),
        };
        Self {
            source,
            rows: Vec::new(),
            ..self.clone()
        }
    }

    /// Reads a past version of this configuration, whose text has another form, into that of a
    /// configuration. Who made the first version, and when, only this one tells.
    pub(crate) fn parse_version(&self, text: &str) -> Result<Self, Problem> {
        let members = Members::parse(text)?;
        let revision = Revision::of_version(&members)?;
        Ok(Self {
            component_id: self.component_id.clone(),
            id: self.id.clone(),
            name: members.text_or_empty("name"),
            revision,
            first_created: self.first_created,
            source: as_configuration(&Members::parse(&self.source)?, &members),
            rows: rows(&members)?,
        })
    }
}

/// Members of a version that say who made it; in a configuration they stand in `currentVersion`.
const STAMP: [&str; 4] = [
    "created",
    "creatorToken",
    "changeDescription",
    "versionIdentifier",
];

/// Members of a configuration that are the same at each of its versions, and in none of them.
const OF_ALL: [&str; 3] = ["id", "created", "creatorToken"];

/// Writes a past version in the form of a configuration, from the same texts of values.
fn as_configuration(current: &Members<'_>, members: &Members<'_>) -> String {
    let of_all = OF_ALL.iter().filter_map(|name| Some((*name, current.raw(name)?)));
    let stamp = object_text(STAMP.iter().filter_map(|name| Some((*name, members.raw(name)?))));
    let plain = [
        "id",
        "created",
        "creatorToken",
        "versionIdentifier",
        "rows",
        "state",
        "currentVersion",
    ];
    let kept = members.iter().filter(|(key, _)| !plain.contains(key));
    object_text(of_all.chain(kept).chain([("currentVersion", stamp.as_str())]))
}

fn config_id(members: &Members<'_>) -> Result<ConfigId, Problem> {
    let id = members.text("id").ok_or("`id` of a configuration is missing")?;
    ConfigId::parse(&id).map_err(|error| error.to_string())
}

fn rows(members: &Members<'_>) -> Result<Vec<Row>, Problem> {
    let rows = members.items("rows").into_iter();
    rows.map(|text| Row::parse(text.sound()?)).collect()
}

/// A component with its configurations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentConfigurations {
    pub component: ComponentInfo,
    pub configurations: Vec<ConfigurationDetail>,
    /// Those that cannot be read.
    pub unread: Vec<Unread<ConfigId>>,
}

impl ComponentConfigurations {
    /// Reads an item of the list of components.
    pub(crate) fn parse_item(text: Text<'_>) -> Result<Item<Self, ComponentId>, Problem> {
        let id = |members: &Members<'_>| ComponentInfo::of(members)?.id();
        Ok(named(text, Self::parse(text), id))
    }

    fn parse(text: Text<'_>) -> Result<Self, Problem> {
        let members = Members::of(text)?;
        members.sound_but_for("configurations")?;
        let component = ComponentInfo::of(&members)?;
        let id = component.id()?;
        let (mut configurations, mut unread) = (Vec::new(), Vec::new());
        for text in members.items("configurations") {
            match item(text, |text| ConfigurationDetail::parse(&id, text), config_id) {
                Ok(detail) => configurations.push(detail),
                Err(found) => unread.push(found),
            }
        }
        Ok(Self {
            component,
            configurations,
            unread,
        })
    }
}

/// What the light list tells of a configuration: enough to see whether it changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedConfiguration {
    pub component_id: ComponentId,
    pub id: ConfigId,
    pub name: String,
    pub revision: Revision,
}

impl ListedConfiguration {
    /// Reads one component of the light list. What cannot be read is left out: who misses it asks for it alone.
    pub(crate) fn parse_component(text: Text<'_>) -> Result<Vec<Self>, Problem> {
        Ok(readable("the versions", [Self::of_component(text)])
            .into_iter()
            .flatten()
            .collect())
    }

    fn of_component(text: Text<'_>) -> Result<Vec<Self>, Problem> {
        let members = Members::of(text)?;
        let component_id = ComponentInfo::of(&members)?.id()?;
        let listed = members.items("configurations").into_iter().map(|text| {
            let members = Members::of(text)?;
            Ok(Self {
                component_id: component_id.clone(),
                id: config_id(&members)?,
                name: members.text_or_empty("name"),
                revision: Revision::of_configuration(&members)?,
            })
        });
        Ok(readable("the versions", listed))
    }
}

/// One entry of an object's metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    pub key: String,
    pub value: String,
    /// `user`, `system`, `storage` or a component's id.
    pub provider: String,
    pub timestamp: Option<Timestamp>,
}

impl Metadata {
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        let members = Members::parse(text)?;
        Ok(Self {
            key: members.text("key").ok_or("`key` of metadata is missing")?,
            value: members.whole_text("value")?,
            provider: members.text_or_empty("provider"),
            timestamp: members.time("timestamp"),
        })
    }
}

/// The metadata of one configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigurationMetadata {
    pub component_id: ComponentId,
    pub config_id: ConfigId,
    /// In the order of the answer.
    pub metadata: Vec<Metadata>,
}

impl ConfigurationMetadata {
    /// Reads an item of the list of configurations with metadata.
    pub(crate) fn parse_item(text: Text<'_>) -> Result<Item<Self, (ComponentId, ConfigId)>, Problem> {
        Ok(item(text, Self::parse, owner_id))
    }

    fn parse(text: &str) -> Result<Self, Problem> {
        let members = Members::parse(text)?;
        let (component_id, config_id) = owner_id(&members)?;
        Ok(Self {
            component_id,
            config_id,
            metadata: members
                .items("metadata")
                .into_iter()
                .map(|text| Metadata::parse(text.sound()?))
                .collect::<Result<_, _>>()?,
        })
    }
}

fn owner_id(members: &Members<'_>) -> Result<(ComponentId, ConfigId), Problem> {
    let component = members.text("idComponent").ok_or("`idComponent` is missing")?;
    let config = members
        .text("configurationId")
        .ok_or("`configurationId` is missing")?;
    let component = ComponentId::parse(&component).map_err(|error| error.to_string())?;
    let config = ConfigId::parse(&config).map_err(|error| error.to_string())?;
    Ok((component, config))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    const DETAIL: &str = r#"{"id":12,"name":"Main","created":"2016-05-11T14:33:50+0200","creatorToken":{"id":1,"description":"first@example.com"},
        "version":"2","changeDescription":"Row row1 added","isDisabled":false,"isDeleted":false,
        "configuration":{"z":1.0,"a":12345678901234567890},"rowsSortOrder":["r1"],
        "rows":[{"id":"r1","name":"","configuration":[],"state":{"x":1},"version":1,"versionIdentifier":"01H59WQGTDQT8AC7XNWKQDS75P"}],
        "state":{"secret":1},
        "currentVersion":{"created":"2016-05-12T14:33:50+0200","creatorToken":{"id":67,"description":"dev@example.com"},"changeDescription":"Row row1 added","versionIdentifier":"01H2W8N0ZJJB6V126C8ZSND28N"}}"#;

    fn component() -> ComponentId {
        ComponentId::parse("keboola.ex-x").unwrap()
    }

    #[track_caller]
    fn check(found: Result<ConfigurationDetail, Problem>, expected: &Expect) {
        expected.assert_eq(&match found {
            Ok(found) => format!("{found:#?}\n"),
            Err(problem) => format!("{problem}\n"),
        });
    }

    #[test]
    fn author_and_time_are_those_of_the_current_version() {
        check(
            ConfigurationDetail::parse(&component(), DETAIL),
            &expect![[r#"
            ConfigurationDetail {
                component_id: ComponentId(keboola.ex-x),
                id: ConfigId(12),
                name: "Main",
                revision: Revision {
                    version: 2,
                    identifier: Some(
                        "01H2W8N0ZJJB6V126C8ZSND28N",
                    ),
                    created: Some(
                        2016-05-12T12:33:50Z,
                    ),
                    author: Some(
                        Author {
                            token_id: Some(
                                "67",
                            ),
                            description: "dev@example.com",
                        },
                    ),
                    change_description: "Row row1 added",
                    is_deleted: false,
                },
                first_created: Some(
                    2016-05-11T12:33:50Z,
                ),
                source: "{\"id\":12,\"name\":\"Main\",\"created\":\"2016-05-11T14:33:50+0200\",\"creatorToken\":{\"id\":1,\"description\":\"first@example.com\"},\"version\":\"2\",\"changeDescription\":\"Row row1 added\",\"isDisabled\":false,\"isDeleted\":false,\"configuration\":{\"z\":1.0,\"a\":12345678901234567890},\"rowsSortOrder\":[\"r1\"],\"currentVersion\":{\"created\":\"2016-05-12T14:33:50+0200\",\"creatorToken\":{\"id\":67,\"description\":\"dev@example.com\"},\"changeDescription\":\"Row row1 added\",\"versionIdentifier\":\"01H2W8N0ZJJB6V126C8ZSND28N\"}}",
                rows: [
                    Row {
                        id: RowId(r1),
                        name: "",
                        version: 1,
                        version_identifier: Some(
                            "01H59WQGTDQT8AC7XNWKQDS75P",
                        ),
                        source: "{\"id\":\"r1\",\"name\":\"\",\"configuration\":[],\"version\":1,\"versionIdentifier\":\"01H59WQGTDQT8AC7XNWKQDS75P\"}",
                    },
                ],
            }
        "#]],
        );
    }

    #[test]
    fn a_past_version_takes_the_form_of_a_configuration() {
        let text = r#"{"version":1,"created":"2016-05-11T14:33:50+0200","versionIdentifier":"01H2W8","creatorToken":[],
            "changeDescription":null,"isDeleted":false,"name":"Main","description":"","configuration":{"n":1e2},"rows":[],"rowsSortOrder":[]}"#;
        let current = ConfigurationDetail::parse(&component(), DETAIL).unwrap();
        check(
            current.parse_version(text),
            &expect![[r#"
            ConfigurationDetail {
                component_id: ComponentId(keboola.ex-x),
                id: ConfigId(12),
                name: "Main",
                revision: Revision {
                    version: 1,
                    identifier: Some(
                        "01H2W8",
                    ),
                    created: Some(
                        2016-05-11T12:33:50Z,
                    ),
                    author: None,
                    change_description: "",
                    is_deleted: false,
                },
                first_created: Some(
                    2016-05-11T12:33:50Z,
                ),
                source: "{\"id\":12,\"created\":\"2016-05-11T14:33:50+0200\",\"creatorToken\":{\"id\":1,\"description\":\"first@example.com\"},\"version\":1,\"changeDescription\":null,\"isDeleted\":false,\"name\":\"Main\",\"description\":\"\",\"configuration\":{\"n\":1e2},\"rowsSortOrder\":[],\"currentVersion\":{\"created\":\"2016-05-11T14:33:50+0200\",\"creatorToken\":[],\"changeDescription\":null,\"versionIdentifier\":\"01H2W8\"}}",
                rows: [],
            }
        "#]],
        );
    }

    #[test]
    fn without_a_current_version_the_author_of_a_later_one_is_not_guessed() {
        let text = r#"{"id":"1","version":3,"created":"2016-05-11T14:33:50+0200","creatorToken":{"id":1,"description":"a@example.com"}}"#;
        let found = ConfigurationDetail::parse(&component(), text).unwrap();
        assert_eq!((found.revision.author, found.revision.created), (None, None));
        assert!(found.first_created.is_some());
    }

    #[test]
    fn what_cannot_be_a_configuration_is_refused_by_name() {
        check(
            ConfigurationDetail::parse(&component(), r#"{"id":"1"}"#),
            &expect![[r#"
            `version` is missing
        "#]],
        );
        check(
            ConfigurationDetail::parse(&component(), r#"{"version":1}"#),
            &expect![[r#"
            `id` of a configuration is missing
        "#]],
        );
        check(
            ConfigurationDetail::parse(&component(), r#"{"id":"1","version":1,"rows":[{}]}"#),
            &expect![[r#"
            `id` of a row is missing
        "#]],
        );
    }
}
