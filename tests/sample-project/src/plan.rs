//! The order in which the configurations of a market are made.
//!
//! One market after another until the wanted number is reached; whatever a step refers to was made before it.

use crate::builder::Builder;
use crate::market::Market;
use crate::transformations::topic;
use crate::{automation, extractors, flows, plants, transformations, writers};

type Make = fn(&mut Builder, &Market);

/// In which markets a step is taken.
#[derive(Debug, Clone, Copy)]
enum When {
    /// In every market.
    Always,
    /// In the first market only.
    Once,
    /// In the first of every twelve: rare things stay rare in a large project.
    Seldom,
}

use When::{Always, Once, Seldom};

/// Every step makes exactly one configuration.
const STEPS: &[(When, Make)] = &[
    (Always, |b, m| extractors::database(b, m, &extractors::ERP)),
    (Once, |b, m| {
        automation::shared_code(b, m, "keboola.snowflake-transformation", "shared-sql");
    }),
    (Once, |b, m| {
        automation::shared_code(b, m, "keboola.python-transformation-v2", "shared-python");
    }),
    (Once, automation::shared_code_variables),
    (Once, extractors::currency),
    (Always, |b, m| transformations::coded(b, m, topic("tr-orders"))),
    (Always, |b, m| {
        automation::variables(b, m, "tr-orders", &[("days_back", "9"), ("market", "all")]);
    }),
    (Always, |b, m| writers::database(b, m, &writers::TARGETS[0])),
    (Always, |b, m| flows::classic(b, m, &flows::DAILY)),
    (Always, |b, m| automation::schedule(b, m, Some("flow-daily"))),
    (Seldom, plants::legacy_ftp),
    (Seldom, plants::sql_credentials),
    (Seldom, plants::python_credentials),
    (Seldom, plants::crm_interface),
    (Seldom, plants::service_account),
    (Seldom, plants::connection_strings),
    (Seldom, plants::prose),
    (Seldom, plants::repaired),
    (Seldom, plants::app_secret),
    (Always, |b, m| extractors::database(b, m, &extractors::WMS)),
    (Always, |b, m| extractors::database(b, m, &extractors::PURCHASING)),
    (Seldom, |b, m| extractors::database(b, m, &extractors::STAFF)),
    (Always, |b, m| extractors::database(b, m, &extractors::ESHOP)),
    (Always, extractors::shop),
    (Always, extractors::analytics),
    (Always, |b, m| {
        extractors::ads(b, m, "keboola.ex-google-ads", "google-ads", "Google Ads");
    }),
    (Always, |b, m| {
        extractors::ads(b, m, "keboola.ex-facebook-ads", "facebook", "Meta Ads");
    }),
    (Always, |b, m| extractors::plain(b, m, &extractors::PLAIN[0])),
    (Always, extractors::object_store),
    (Always, extractors::ftp),
    (Always, |b, m| transformations::coded(b, m, topic("tr-stock"))),
    (Always, |b, m| {
        transformations::coded(b, m, topic("tr-attribution"));
    }),
    (Always, |b, m| transformations::coded(b, m, topic("tr-segments"))),
    (Always, |b, m| transformations::coded(b, m, topic("tr-churn"))),
    (Always, |b, m| transformations::coded(b, m, topic("tr-forecast"))),
    (Always, |b, m| transformations::coded(b, m, topic("tr-bigquery"))),
    (Always, |b, m| {
        transformations::coded(b, m, topic("tr-elasticity"));
    }),
    (Always, transformations::dbt),
    (Always, |b, m| transformations::coded(b, m, topic("tr-duckdb"))),
    (Seldom, |b, m| {
        extractors::database(b, m, &extractors::SHARED_WAREHOUSE);
    }),
    (Seldom, |b, m| {
        extractors::ads(b, m, "keboola.ex-sklik", "sklik", "Sklik");
    }),
    (Seldom, extractors::shoptet),
    (Always, extractors::http),
    (Always, extractors::generic),
    (Always, |b, m| extractors::plain(b, m, &extractors::PLAIN[1])),
    (Seldom, |b, m| extractors::plain(b, m, &extractors::PLAIN[2])),
    (Always, |b, m| extractors::plain(b, m, &extractors::PLAIN[3])),
    (Always, |b, m| extractors::plain(b, m, &extractors::PLAIN[4])),
    (Always, |b, m| extractors::plain(b, m, &extractors::PLAIN[5])),
    (Seldom, |b, m| extractors::plain(b, m, &extractors::PLAIN[6])),
    (Always, |b, m| extractors::plain(b, m, &extractors::PLAIN[7])),
    (Seldom, extractors::abandoned),
    (Always, |b, m| transformations::coded(b, m, topic("tr-kpi"))),
    (Always, |b, m| {
        automation::variables(b, m, "tr-kpi", &[("revenue_target", "100000")]);
    }),
    (Always, |b, m| transformations::coded(b, m, topic("tr-quality"))),
    (Always, |b, m| transformations::coded(b, m, topic("tr-matching"))),
    (Always, |b, m| {
        automation::variables(b, m, "tr-matching", &[("threshold", "0.8")]);
    }),
    (Always, |b, m| transformations::coded(b, m, topic("tr-basket"))),
    (Always, |b, m| writers::database(b, m, &writers::TARGETS[1])),
    (Always, |b, m| writers::database(b, m, &writers::TARGETS[2])),
    (Always, |b, m| writers::database(b, m, &writers::TARGETS[3])),
    (Always, writers::sheets),
    (Always, |b, m| {
        writers::files(b, m, "keboola.wr-aws-s3", "wr-s3", "Exporty do S3");
    }),
    (Always, |b, m| {
        writers::files(
            b,
            m,
            "keboola.wr-google-bigquery-v2",
            "wr-bq",
            "BigQuery marketing",
        );
    }),
    (Seldom, |b, m| {
        writers::files(b, m, "keboola.wr-ftp", "wr-ftp", "Partner FTP");
    }),
    (Always, writers::generic),
    (Seldom, plants::variable_values),
    (Seldom, writers::hubspot),
    (Seldom, writers::onedrive),
    (Always, |b, m| {
        writers::language_model(b, m, "kds-team.app-generative-ai", "ai");
    }),
    (Seldom, |b, m| {
        writers::language_model(b, m, "keboola.azure-openai", "openai");
    }),
    (Seldom, writers::gateway),
    (Seldom, writers::migration),
    (Always, |b, m| flows::classic(b, m, &flows::MARKETING)),
    (Always, |b, m| automation::schedule(b, m, Some("flow-marketing"))),
    (Always, |b, m| flows::classic(b, m, &flows::LOGISTICS)),
    (Seldom, |b, m| automation::schedule(b, m, Some("flow-logistics"))),
    (Always, flows::conditional),
    (Seldom, |b, m| {
        automation::schedule(b, m, Some("flow-conditional"));
    }),
    (Seldom, |b, m| automation::schedule(b, m, Some("tr-quality"))),
    (Seldom, |b, m| automation::schedule(b, m, None)),
    (Seldom, automation::unattached_variables),
    (Seldom, automation::contested_variables),
    (Always, automation::data_app),
    (Always, automation::custom_python),
    (Seldom, automation::sandbox),
    (Seldom, transformations::legacy),
    (Seldom, transformations::empty),
    (Seldom, transformations::odd),
];

/// Makes configurations until the project has as many as its shape asks for.
pub(crate) fn carry_out(b: &mut Builder) {
    for round in 0.. {
        let market = Market::of_round(round);
        for (when, make) in STEPS {
            if b.drafts.len() >= b.shape.configurations {
                return;
            }
            let wanted = match when {
                Always => true,
                Once => round == 0,
                Seldom => round % 12 == 0,
            };
            if wanted {
                make(b, &market);
            }
        }
    }
}
