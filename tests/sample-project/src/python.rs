//! Python and R of the retailer's transformations.
//!
//! Text only, filled in as in `sql`.

use crate::transformations::Topic;

pub(crate) const TOPICS: &[Topic] = &[
    Topic {
        role: "tr-churn",
        component: "keboola.python-transformation-v2",
        name: "Churn & CLV model",
        folder: "02 Transformations/ML",
        description: "Gradient boosting nad RFM; přeučuje se každou neděli.",
        inputs: &["customer_segments", "orders"],
        outputs: &[("customer_lifetime", "customer_lifetime")],
        blocks: &[
            (
                "Load",
                &[(
                    "Read inputs",
                    &[
                        "import pandas as pd\nfrom sklearn.ensemble import GradientBoostingClassifier\n\nsegments = pd.read_csv('in/tables/customer_segments', dtype=str)\norders = pd.read_csv('in/tables/orders', parse_dates=['created_at'])\n\nHORIZON_DAYS = 90\nMIN_ORDERS = 3\n",
                        "def as_number(frame, columns):\n    \"\"\"Storage keeps everything as text.\"\"\"\n    for column in columns:\n        frame[column] = pd.to_numeric(frame[column], errors='coerce').fillna(0)\n    return frame\n\n\nsegments = as_number(segments, ['recency_days', 'frequency', 'monetary'])\n",
                    ],
                )],
            ),
            (
                "Train",
                &[(
                    "Fit and score",
                    &[
                        "cutoff = orders['created_at'].max() - pd.Timedelta(days=HORIZON_DAYS)\nactive = set(orders.loc[orders['created_at'] > cutoff, 'customer_id'])\nfeatures = segments[['recency_days', 'frequency', 'monetary']]\nlabels = (~segments['customer_id'].isin(active)).astype(int)\n\nmodel = GradientBoostingClassifier(n_estimators=200, max_depth=3, learning_rate=0.05, random_state=7)\nmodel.fit(features[segments['frequency'] >= MIN_ORDERS], labels[segments['frequency'] >= MIN_ORDERS])\nsegments['churn_probability'] = model.predict_proba(features)[:, 1].round(4)\n",
                        "result = segments.rename(columns={'frequency': 'orders', 'monetary': 'revenue'})\nresult['first_order'] = orders.groupby('customer_id')['created_at'].min().reindex(result['customer_id']).dt.date.values\nresult[['customer_id', 'first_order', 'orders', 'revenue', 'churn_probability']].to_csv('out/tables/customer_lifetime', index=False)\nprint(f'scored {len(result)} customers for %MARKET%')\n",
                    ],
                )],
            ),
        ],
    },
    Topic {
        role: "tr-forecast",
        component: "keboola.python-transformation-v2",
        name: "Předpověď poptávky",
        folder: "02 Transformations/ML",
        description: "Holt-Winters se sezónností 7 dní, svátky podle země.",
        inputs: &["order_items", "orders", "stock_levels"],
        outputs: &[("stock_forecast", "stock_forecast")],
        blocks: &[(
            "Forecast",
            &[
                (
                    "Series",
                    &[
                        "import csv\nfrom collections import defaultdict\nfrom datetime import date, timedelta\n\nSEASON = 7\nALPHA, BETA, GAMMA = 0.3, 0.05, 0.2\n\n\ndef read(name):\n    with open(f'in/tables/{name}', encoding='utf-8') as lines:\n        yield from csv.DictReader(lines)\n\n\nday_of = {row['order_id']: row['created_at'][:10] for row in read('orders')}\nseries = defaultdict(lambda: defaultdict(float))\nfor item in read('order_items'):\n    series[item['product_id']][day_of.get(item['order_id'], '')] += float(item['quantity'] or 0)\n",
                    ],
                ),
                (
                    "Holt-Winters",
                    &[
                        "def smooth(values):\n    level, trend = values[0], 0.0\n    season = [1.0] * SEASON\n    for index, value in enumerate(values):\n        old = level\n        factor = season[index % SEASON] or 1.0\n        level = ALPHA * value / factor + (1 - ALPHA) * (level + trend)\n        trend = BETA * (level - old) + (1 - BETA) * trend\n        season[index % SEASON] = GAMMA * value / (level or 1.0) + (1 - GAMMA) * factor\n    return level, trend, season\n",
                        "with open('out/tables/stock_forecast', 'w', newline='', encoding='utf-8') as target:\n    writer = csv.writer(target)\n    writer.writerow(['day', 'warehouse_id', 'product_id', 'expected_demand', 'days_of_cover'])\n    for product, days in series.items():\n        level, trend, season = smooth([days[key] for key in sorted(days)])\n        for ahead in range(1, 15):\n            demand = max(level + ahead * trend, 0) * season[ahead % SEASON]\n            writer.writerow([date.today() + timedelta(days=ahead), '%MARKET%-1', product, round(demand, 3), ''])\n",
                    ],
                ),
            ],
        )],
    },
    Topic {
        role: "tr-matching",
        component: "keboola.python-transformation-v2",
        name: "Párování konkurence",
        folder: "02 Transformations/ML",
        description: "Páruje naše SKU s nabídkou konkurence podle názvu; `threshold` je v proměnných.",
        inputs: &["products", "competitor_prices"],
        outputs: &[("competitor_prices_matched", "competitor_prices")],
        blocks: &[(
            "Match",
            &[(
                "Fuzzy match",
                &[
                    "import difflib\nimport unicodedata\n\nTHRESHOLD = float('{{threshold}}')\n\n\ndef plain(text):\n    decomposed = unicodedata.normalize('NFD', text.lower())\n    return ''.join(letter for letter in decomposed if unicodedata.category(letter) != 'Mn')\n\n\ndef best(name, candidates):\n    scored = [(difflib.SequenceMatcher(None, plain(name), plain(other)).ratio(), other) for other in candidates]\n    score, other = max(scored, default=(0, None))\n    return other if score >= THRESHOLD else None\n",
                ],
            )],
        )],
    },
    Topic {
        role: "tr-elasticity",
        component: "keboola.r-transformation-v2",
        name: "Cenová elasticita (R)",
        folder: "02 Transformations/ML",
        description: "log-log regrese po produktech; méně než 30 pozorování se vynechá.",
        inputs: &["order_items", "products"],
        outputs: &[("price_elasticity", "price_elasticity")],
        blocks: &[(
            "Regrese",
            &[(
                "Modely",
                &[
                    "library(dplyr)\nlibrary(readr)\n\nitems <- read_csv('in/tables/order_items', col_types = cols(.default = 'c')) %>%\n  mutate(quantity = as.numeric(quantity), unit_price = as.numeric(unit_price)) %>%\n  filter(quantity > 0, unit_price > 0)\n",
                    "estimate <- function(rows) {\n  if (nrow(rows) < 30) return(NULL)\n  model <- lm(log(quantity) ~ log(unit_price), data = rows)\n  tibble(elasticity = coef(model)[[2]], r_squared = summary(model)$r.squared, observations = nrow(rows))\n}\n\nresult <- items %>% group_by(product_id) %>% group_modify(~ estimate(.x)) %>% ungroup()\nwrite_csv(result, 'out/tables/price_elasticity')\n",
                ],
            )],
        )],
    },
    Topic {
        role: "tr-basket",
        component: "keboola.r-transformation-v2",
        name: "Nákupní košík – asociační pravidla",
        folder: "02 Transformations/ML",
        description: "",
        inputs: &["order_items"],
        outputs: &[("basket_pairs", "basket_pairs")],
        blocks: &[(
            "Apriori",
            &[(
                "Rules",
                &[
                    "library(arules)\n\nitems <- read.csv('in/tables/order_items', colClasses = 'character')\nbaskets <- as(split(items$product_id, items$order_id), 'transactions')\nrules <- apriori(baskets, parameter = list(supp = 0.002, conf = 0.2, minlen = 2, maxlen = 2))\n",
                    "found <- as(rules, 'data.frame')\nwrite.csv(found, 'out/tables/basket_pairs', row.names = FALSE) # <- & > are escaped in JSON\n",
                ],
            )],
        )],
    },
];
