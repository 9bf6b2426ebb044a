//! SQL of the retailer's transformations.
//!
//! Text only. `%market%`, `%MARKET%`, `%currency%` and `%vat%` are filled in; `{{name}}` are Keboola's own variables.

use crate::transformations::Topic;

pub(crate) const TOPICS: &[Topic] = &[
    Topic {
        role: "tr-orders",
        component: "keboola.snowflake-transformation",
        name: "Objednávky – očištění a sjednocení",
        folder: "02 Transformations/Core",
        description: "Sjednocuje objednávky z ERP a e-shopu, převádí měny a čistí zákazníky.\n\n## Výstupy\n\n- `orders`\n- `customers`\n\n> Spouští se ve flow *Denní zpracování*.\n",
        inputs: &["orders", "order_items", "customers", "exchange_rates"],
        outputs: &[
            ("orders", "orders"),
            ("customers", "customers"),
            ("daily_sales", "daily_sales"),
        ],
        blocks: &[
            (
                "Staging",
                &[
                    (
                        "Deduplicate orders",
                        &[
                            "CREATE OR REPLACE TEMPORARY TABLE \"orders_dedup\" AS\nSELECT *\nFROM \"orders\"\nQUALIFY ROW_NUMBER() OVER (PARTITION BY \"order_id\" ORDER BY \"updated_at\" DESC) = 1;",
                            "/* test orders are placed by the shop's own staff */\nDELETE FROM \"orders_dedup\"\nWHERE \"customer_id\" IN (SELECT \"customer_id\" FROM \"customers\" WHERE \"email\" LIKE '%@zahradnik.example.com');",
                        ],
                    ),
                    (
                        "Clean customers",
                        &[
                            "CREATE OR REPLACE TEMPORARY TABLE \"customers_clean\" AS\nSELECT\n    \"customer_id\",\n    TRIM(\"full_name\")                         AS \"full_name\",\n    LOWER(NULLIF(TRIM(\"email\"), ''))          AS \"email\",\n    REGEXP_REPLACE(\"phone\", '[^0-9+]', '')     AS \"phone\",\n    \"street\", \"city\",\n    UPPER(\"country\")                           AS \"country\",\n    \"newsletter\"::BOOLEAN                      AS \"newsletter\",\n    TRY_TO_TIMESTAMP_NTZ(\"registered_at\")      AS \"registered_at\"\nFROM \"customers\"\nWHERE \"email\" RLIKE '^[^@]+@[^@]+\\\\.[a-z]{2,}$' -- keep only deliverable ones; 2 % fall out\n;",
                        ],
                    ),
                ],
            ),
            (
                "Core",
                &[
                    (
                        "Convert to %currency% & net",
                        &[
                            "SET vat = %vat%;",
                            "CREATE OR REPLACE TABLE \"orders_out\" AS\nSELECT\n    o.\"order_id\",\n    o.\"customer_id\",\n    o.\"status\",\n    '%currency%'                                                    AS \"currency\",\n    ROUND(o.\"total_gross\"::NUMBER(12,2) * COALESCE(r.\"rate\"::FLOAT, 1), 2) AS \"total_gross\",\n    ROUND(\"total_gross\" / (1 + $vat / 100), 2)                       AS \"total_net\",\n    o.\"shipping_fee\", o.\"coupon_code\", o.\"channel\", o.\"created_at\", o.\"updated_at\"\nFROM \"orders_dedup\" o\nLEFT JOIN \"exchange_rates\" r\n       ON r.\"currency\" = o.\"currency\"\n      AND r.\"day\" = o.\"created_at\"::DATE\nWHERE o.\"created_at\" >= DATEADD(day, -{{days_back}}, CURRENT_DATE)\n  AND o.\"status\" <> 'cancelled';",
                        ],
                    ),
                    (
                        "Daily sales",
                        &[
                            "CREATE OR REPLACE TABLE \"daily_sales\" AS\nSELECT\n    o.\"created_at\"::DATE        AS \"day\",\n    o.\"channel\",\n    'all'                        AS \"category_id\",\n    COUNT(DISTINCT o.\"order_id\") AS \"orders\",\n    SUM(o.\"total_net\")           AS \"revenue\",\n    SUM(o.\"total_net\" - i.\"cost\") AS \"margin\"\nFROM \"orders_out\" o\nJOIN (\n    SELECT \"order_id\", SUM(\"quantity\" * \"unit_price\" * (1 - \"discount\")) AS \"cost\"\n    FROM \"order_items\" GROUP BY 1\n) i USING (\"order_id\")\nGROUP BY 1, 2, 3\nHAVING COUNT(*) > 0;",
                        ],
                    ),
                ],
            ),
        ],
    },
    Topic {
        role: "tr-attribution",
        component: "keboola.snowflake-transformation",
        name: "Marketing attribution (U-shaped)",
        folder: "02 Transformations/Marketing",
        description: "40 % first touch, 40 % last touch, rest in between. Model agreed with marketing on 12 May.",
        inputs: &["sessions", "orders", "ad_costs", "campaigns"],
        outputs: &[("attribution", "attribution"), ("marketing_roi", "marketing_roi")],
        blocks: &[
            (
                "Touch points",
                &[(
                    "Order sessions",
                    &[
                        "CREATE OR REPLACE TEMPORARY TABLE \"touches\" AS\nSELECT\n    o.\"order_id\",\n    s.\"source\" AS \"channel\",\n    s.\"campaign\",\n    o.\"total_net\",\n    ROW_NUMBER() OVER (PARTITION BY o.\"order_id\" ORDER BY s.\"started_at\")      AS \"touch_no\",\n    COUNT(*)     OVER (PARTITION BY o.\"order_id\")                             AS \"touches\"\nFROM \"orders\" o\nJOIN \"sessions\" s\n  ON s.\"customer_id\" = o.\"customer_id\"\n AND s.\"started_at\" BETWEEN DATEADD(day, -30, o.\"created_at\") AND o.\"created_at\";",
                    ],
                )],
            ),
            (
                "Weights",
                &[
                    (
                        "U shape",
                        &[
                            "CREATE OR REPLACE TABLE \"attribution\" AS\nSELECT\n    \"order_id\", \"touch_no\", \"channel\", \"campaign\",\n    CASE\n        WHEN \"touches\" = 1 THEN 1.0\n        WHEN \"touches\" = 2 THEN 0.5\n        WHEN \"touch_no\" IN (1, \"touches\") THEN 0.4\n        ELSE 0.2 / (\"touches\" - 2)\n    END AS \"weight\",\n    \"weight\" * \"total_net\" AS \"value\"\nFROM \"touches\";",
                        ],
                    ),
                    (
                        "Return on spend",
                        &[
                            "CREATE OR REPLACE TABLE \"marketing_roi\" AS\nWITH \"cost\" AS (\n    SELECT \"day\"::DATE AS \"day\", c.\"channel\", SUM(\"cost\") AS \"cost\"\n    FROM \"ad_costs\" a JOIN \"campaigns\" c USING (\"campaign_id\")\n    GROUP BY 1, 2\n), \"income\" AS (\n    SELECT o.\"created_at\"::DATE AS \"day\", a.\"channel\", SUM(a.\"value\") AS \"revenue\"\n    FROM \"attribution\" a JOIN \"orders\" o USING (\"order_id\")\n    GROUP BY 1, 2\n)\nSELECT \"day\", \"channel\", \"cost\", \"revenue\",\n       DIV0(\"revenue\", \"cost\") AS \"roas\", 0 AS \"new_customers\"\nFROM \"cost\" FULL JOIN \"income\" USING (\"day\", \"channel\");",
                        ],
                    ),
                ],
            ),
        ],
    },
    Topic {
        role: "tr-stock",
        component: "keboola.snowflake-transformation",
        name: "Stav skladu a návrhy nákupu",
        folder: "02 Transformations/Core",
        description: "Dny zásoby podle prodejů za posledních 28 dní; návrh = bod objednání − dostupné množství.",
        inputs: &[
            "stock_levels",
            "stock_movements",
            "order_items",
            "suppliers",
            "products",
        ],
        outputs: &[
            ("reorder_proposals", "reorder_proposals"),
            ("stock_levels", "stock_levels"),
        ],
        blocks: &[(
            "Zásoby",
            &[
                (
                    "Denní spotřeba",
                    &[
                        "CREATE OR REPLACE TEMPORARY TABLE \"usage\" AS\nSELECT \"warehouse_id\", \"product_id\",\n       SUM(CASE WHEN \"kind\" = 'issue' THEN -\"quantity\" ELSE 0 END) / 28.0 AS \"per_day\"\nFROM \"stock_movements\"\nWHERE \"moved_at\" > DATEADD(day, -28, CURRENT_DATE)\nGROUP BY 1, 2;",
                    ],
                ),
                (
                    "Body objednání",
                    &[
                        "CREATE OR REPLACE TABLE \"reorder_proposals\" AS\nSELECT\n    p.\"supplier_id\",\n    l.\"product_id\",\n    CEIL(GREATEST(u.\"per_day\" * (s.\"lead_days\" + 7) - (l.\"on_hand\" - l.\"reserved\"), 0)) AS \"quantity\",\n    'zásoba na ' || ROUND(DIV0(l.\"on_hand\", u.\"per_day\"), 1) || ' dní' AS \"reason\",\n    CURRENT_DATE AS \"proposed_on\"\nFROM \"stock_levels\" l\nJOIN \"usage\" u USING (\"warehouse_id\", \"product_id\")\nJOIN \"products\" p USING (\"product_id\")\nJOIN \"suppliers\" s ON s.\"supplier_id\" = p.\"supplier_id\"\nWHERE \"quantity\" > 0;",
                        "ALTER TABLE \"reorder_proposals\" ADD COLUMN \"market\" VARCHAR DEFAULT '%MARKET%';",
                    ],
                ),
            ],
        )],
    },
    Topic {
        role: "tr-segments",
        component: "keboola.snowflake-transformation",
        name: "Zákaznické segmenty RFM",
        folder: "02 Transformations/CRM",
        description: "RFM in five quantiles; names of segments follow the mailing tool.",
        inputs: &["orders", "customers"],
        outputs: &[("customer_segments", "customer_segments")],
        blocks: &[(
            "RFM",
            &[(
                "Scores",
                &[
                    "CREATE OR REPLACE TEMPORARY TABLE \"scores\" AS\nSELECT\n    \"customer_id\",\n    DATEDIFF(day, MAX(\"created_at\"), CURRENT_DATE) AS \"recency_days\",\n    COUNT(*)            AS \"frequency\",\n    SUM(\"total_net\")    AS \"monetary\",\n    NTILE(5) OVER (ORDER BY \"recency_days\" DESC) AS \"r\",\n    NTILE(5) OVER (ORDER BY \"frequency\")         AS \"f\",\n    NTILE(5) OVER (ORDER BY \"monetary\")          AS \"m\"\nFROM \"orders\"\nGROUP BY 1;",
                    "CREATE OR REPLACE TABLE \"customer_segments\" AS\nSELECT \"customer_id\", \"recency_days\", \"frequency\", \"monetary\",\n    CASE\n        WHEN \"r\" >= 4 AND \"f\" >= 4 AND \"m\" >= 4 THEN 'VIP'\n        WHEN \"r\" >= 4 AND \"f\" <= 2 THEN 'noví'\n        WHEN \"r\" <= 2 AND \"f\" >= 4 THEN 'odcházející'\n        WHEN \"r\" = 1 THEN 'ztracení'\n        ELSE 'běžní'\n    END AS \"segment\"\nFROM \"scores\";",
                ],
            )],
        )],
    },
    Topic {
        role: "tr-kpi",
        component: "keboola.snowflake-transformation",
        name: "KPI – board pack",
        folder: "02 Transformations/Reporting",
        description: "",
        inputs: &["daily_sales", "marketing_roi", "tickets"],
        outputs: &[("kpi_daily", "kpi_daily")],
        blocks: &[(
            "KPI",
            &[(
                "Union of metrics",
                &[
                    "CREATE OR REPLACE TABLE \"kpi_daily\" AS\nSELECT \"day\", 'revenue' AS \"metric\", SUM(\"revenue\") AS \"value\", {{revenue_target}} AS \"target\" FROM \"daily_sales\" GROUP BY 1\nUNION ALL\nSELECT \"day\", 'margin', SUM(\"margin\"), {{revenue_target}} * 0.31 FROM \"daily_sales\" GROUP BY 1\nUNION ALL\nSELECT \"day\", 'roas', AVG(\"roas\"), 4.5 FROM \"marketing_roi\" GROUP BY 1\nUNION ALL\nSELECT \"opened_at\"::DATE, 'tickets', COUNT(*), 120 FROM \"tickets\" GROUP BY 1;",
                ],
            )],
        )],
    },
    Topic {
        role: "tr-quality",
        component: "keboola.snowflake-transformation",
        name: "Kontroly kvality dat",
        folder: "02 Transformations/Reporting",
        description: "Každá kontrola vrací počet řádků, které ji porušily.\r\nPorušení hlásí flow do kanálu #data-alerts.   \r\n",
        inputs: &["orders", "customers", "products", "payments"],
        outputs: &[("data_quality", "data_quality")],
        blocks: &[(
            "Checks",
            &[
                (
                    "Uniqueness",
                    &[
                        "CREATE OR REPLACE TABLE \"data_quality\" (\"day\" DATE, \"rule\" VARCHAR, \"passed\" BOOLEAN, \"failing_rows\" NUMBER, \"note\" VARCHAR);",
                        "INSERT INTO \"data_quality\"\nSELECT CURRENT_DATE, 'orders.pk', COUNT(*) = 0, COUNT(*), 'duplicate order_id'\nFROM (SELECT \"order_id\" FROM \"orders\" GROUP BY 1 HAVING COUNT(*) > 1);",
                    ],
                ),
                (
                    "Referential integrity",
                    &[
                        "INSERT INTO \"data_quality\"\nSELECT CURRENT_DATE, 'payments.order', COUNT(*) < 15, COUNT(*), 'payment without order'\nFROM \"payments\" p LEFT JOIN \"orders\" o USING (\"order_id\")\nWHERE o.\"order_id\" IS NULL;",
                        "EXECUTE IMMEDIATE $$\nBEGIN\n    LET failing NUMBER := (SELECT SUM(\"failing_rows\") FROM \"data_quality\" WHERE NOT \"passed\");\n    IF (failing > 1000) THEN\n        RETURN 'too many failing rows; stop the load';\n    END IF;\nEND;\n$$;",
                    ],
                ),
            ],
        )],
    },
    Topic {
        role: "tr-bigquery",
        component: "keboola.google-bigquery-transformation",
        name: "GA4 sessions (BigQuery)",
        folder: "02 Transformations/Marketing",
        description: "Sessionisation of the raw GA4 export.",
        inputs: &["sessions", "page_views"],
        outputs: &[("sessions_enriched", "sessions")],
        blocks: &[(
            "Sessions",
            &[(
                "Unnest events",
                &[
                    "CREATE OR REPLACE TABLE `sessions_enriched` AS\nSELECT\n  CONCAT(user_pseudo_id, '.', (SELECT value.int_value FROM UNNEST(event_params) WHERE key = 'ga_session_id')) AS session_id,\n  MIN(TIMESTAMP_MICROS(event_timestamp)) AS started_at,\n  COUNTIF(event_name = 'page_view') AS pageviews,\n  LOGICAL_OR(event_name = 'purchase') AS converted\nFROM `sessions`\nWHERE _TABLE_SUFFIX BETWEEN FORMAT_DATE('%Y%m%d', DATE_SUB(CURRENT_DATE(), INTERVAL 7 DAY)) AND FORMAT_DATE('%Y%m%d', CURRENT_DATE())\nGROUP BY session_id;",
                    "-- bounced = one page and less than 10 s\nALTER TABLE `sessions_enriched` ADD COLUMN IF NOT EXISTS bounced BOOL;",
                ],
            )],
        )],
    },
    Topic {
        role: "tr-duckdb",
        component: "keboola.duckdb-transformation",
        name: "Produktový feed (DuckDB)",
        folder: "02 Transformations/Core",
        description: "Feed pro Heureku a Zboží.cz.",
        inputs: &["products", "categories", "stock_levels"],
        outputs: &[("product_feed", "product_feed")],
        blocks: &[(
            "Feed",
            &[(
                "Dostupnost",
                &[
                    "CREATE OR REPLACE TABLE product_feed AS\nSELECT p.sku, p.name, p.url, round(p.price * 1.%vat%, 2) AS price,\n       CASE WHEN sum(l.on_hand - l.reserved) > 5 THEN 'skladem' WHEN sum(l.on_hand) > 0 THEN 'poslední kusy' ELSE 'na dotaz' END AS availability,\n       c.name AS category\nFROM products p\nLEFT JOIN stock_levels l USING (product_id)\nLEFT JOIN categories c USING (category_id)\nWHERE p.is_active\nGROUP BY ALL;",
                ],
            )],
        )],
    },
];
