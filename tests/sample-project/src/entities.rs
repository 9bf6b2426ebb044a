//! What the retailer's tables hold: columns, types and keys of every kind of table.
//!
//! A kind has no place: buckets are given by whoever writes the table.

/// What a cell of a column looks like in a preview.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cell {
    Number,
    Reference,
    Person,
    Email,
    Phone,
    Street,
    City,
    NationalId,
    Money,
    Count,
    Share,
    Day,
    Instant,
    Flag,
    Sku,
    Product,
    Address,
    Status,
    Channel,
    Campaign,
    Country,
    Sentence,
}

/// One column of a kind of table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) cell: Cell,
}

impl Column {
    /// Keboola's base type, the warehouse type and the length of the column.
    pub(crate) fn types(self) -> (&'static str, &'static str, Option<&'static str>) {
        match self.cell {
            Cell::Money => ("NUMERIC", "NUMBER", Some("12,2")),
            Cell::Count => ("INTEGER", "NUMBER", Some("38,0")),
            Cell::Share => ("FLOAT", "FLOAT", None),
            Cell::Day => ("DATE", "DATE", None),
            Cell::Instant => ("TIMESTAMP", "TIMESTAMP_NTZ", Some("9")),
            Cell::Flag => ("BOOLEAN", "BOOLEAN", None),
            Cell::Number | Cell::Reference | Cell::Country => ("STRING", "VARCHAR", Some("64")),
            Cell::Sentence => ("STRING", "VARCHAR", Some("16777216")),
            _ => ("STRING", "VARCHAR", Some("255")),
        }
    }
}

/// A kind of table.
#[derive(Debug)]
pub(crate) struct Entity {
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    pub(crate) columns: &'static [Column],
    /// How many of the first columns are the primary key.
    pub(crate) key: usize,
}

/// The kind of this name.
///
/// # Panics
/// When there is none: names are literals of this crate, and a test looks all of them up.
pub(crate) fn entity(name: &str) -> &'static Entity {
    ENTITIES
        .iter()
        .find(|entity| entity.name == name)
        .unwrap_or_else(|| panic!("no kind of table `{name}`"))
}

macro_rules! entities {
    ($($name:ident [$key:literal] $description:literal: $($column:ident $cell:ident),+;)+) => {
        pub(crate) static ENTITIES: &[Entity] = &[$(Entity {
            name: stringify!($name),
            description: $description,
            key: $key,
            columns: &[$(Column { name: stringify!($column), cell: Cell::$cell }),+],
        }),+];
    };
}

entities! {
    orders [1] "One line per order as the shop recorded it.":
        order_id Number, customer_id Reference, status Status, currency Country, total_gross Money, total_net Money,
        shipping_fee Money, coupon_code Sku, channel Channel, created_at Instant, updated_at Instant;
    order_items [2] "Items of orders, one line per product.":
        order_id Reference, line_no Count, product_id Reference, quantity Count, unit_price Money, discount Money,
        vat_rate Share;
    customers [1] "Registered customers. **Personal data.**":
        customer_id Number, full_name Person, email Email, phone Phone, street Street, city City, country Country,
        newsletter Flag, registered_at Instant;
    products [1] "Product catalogue.":
        product_id Number, sku Sku, name Product, category_id Reference, price Money, cost Money, is_active Flag,
        url Address, updated_at Instant;
    categories [1] "Category tree.": category_id Number, parent_id Reference, name Product, level Count;
    payments [1] "Payments from the gateway.":
        payment_id Number, order_id Reference, method Channel, amount Money, status Status, paid_at Instant;
    refunds [1] "Refunds and their reasons.":
        refund_id Number, order_id Reference, amount Money, reason Sentence, refunded_at Instant;
    shipments [1] "Parcels handed over to carriers.":
        shipment_id Number, order_id Reference, carrier Channel, tracking_no Sku, shipped_at Instant,
        delivered_at Instant, is_returned Flag;
    stock_levels [2] "Stock by warehouse at midnight.":
        warehouse_id Reference, product_id Reference, on_hand Count, reserved Count, snapshot_date Day;
    stock_movements [1] "Receipts, issues and corrections.":
        movement_id Number, warehouse_id Reference, product_id Reference, quantity Count, kind Status, moved_at Instant;
    suppliers [1] "Suppliers.":
        supplier_id Number, name Person, contact_email Email, city City, country Country, lead_days Count;
    purchase_orders [1] "Orders placed with suppliers.":
        purchase_id Number, supplier_id Reference, product_id Reference, quantity Count, unit_cost Money,
        ordered_on Day, expected_on Day;
    warehouses [1] "Warehouses.": warehouse_id Number, city City, country Country, capacity Count;
    sessions [1] "Web sessions from analytics.":
        session_id Number, customer_id Reference, source Channel, campaign Campaign, landing_page Address,
        pageviews Count, bounced Flag, started_at Instant;
    page_views [2] "Page views, aggregated by day.":
        day Day, page Address, views Count, unique_visitors Count, exit_rate Share;
    campaigns [1] "Marketing campaigns of all ad systems.":
        campaign_id Number, name Campaign, channel Channel, budget Money, starts_on Day, ends_on Day, is_active Flag;
    ad_costs [2] "Daily costs of ads.":
        day Day, campaign_id Reference, impressions Count, clicks Count, cost Money, conversions Count;
    attribution [2] "Share of an order's value by touch point.":
        order_id Reference, touch_no Count, channel Channel, campaign Campaign, weight Share, value Money;
    emails_sent [1] "Mailings and what became of them.":
        message_id Number, email Email, campaign Campaign, opened Flag, clicked Flag, sent_at Instant;
    subscribers [1] "Newsletter subscribers. **Personal data.**":
        email Email, full_name Person, segment Status, consent Flag, subscribed_at Instant;
    reviews [1] "Product reviews.":
        review_id Number, product_id Reference, rating Count, comment Sentence, author Person, created_at Instant;
    tickets [1] "Customer care tickets.":
        ticket_id Number, customer_id Reference, subject Sentence, note Sentence, status Status, opened_at Instant,
        closed_at Instant;
    employees [1] "Staff. **Personal data, restricted.**":
        employee_id Number, full_name Person, email Email, national_id NationalId, city City, salary Money, hired_on Day;
    exchange_rates [2] "Daily rates of the central bank.": day Day, currency Country, rate Share;
    competitor_prices [2] "Prices found at competitors.":
        day Day, product_id Reference, competitor Channel, price Money, in_stock Flag;
    stores [1] "Brick-and-mortar shops.": store_id Number, city City, street Street, phone Phone, opened_on Day;
    gift_cards [1] "Gift cards.": card_id Number, balance Money, issued_on Day, customer_id Reference;
    search_terms [2] "What visitors search for.": day Day, term Product, searches Count, results Count, position Share;
    daily_sales [3] "Sales by day, channel and category.":
        day Day, channel Channel, category_id Reference, orders Count, revenue Money, margin Money;
    customer_segments [1] "RFM segment of every customer.":
        customer_id Reference, recency_days Count, frequency Count, monetary Money, segment Status;
    customer_lifetime [1] "Lifetime value and churn probability.":
        customer_id Reference, first_order Day, orders Count, revenue Money, churn_probability Share;
    stock_forecast [3] "Forecast of demand and of days of cover.":
        day Day, warehouse_id Reference, product_id Reference, expected_demand Share, days_of_cover Share;
    reorder_proposals [2] "Proposed purchases.":
        supplier_id Reference, product_id Reference, quantity Count, reason Sentence, proposed_on Day;
    marketing_roi [2] "Return on marketing spend.":
        day Day, channel Channel, cost Money, revenue Money, roas Share, new_customers Count;
    basket_pairs [2] "Products bought together.":
        left_product Reference, right_product Reference, support Share, confidence Share, lift Share;
    price_elasticity [1] "Estimated elasticity by product.":
        product_id Reference, elasticity Share, r_squared Share, observations Count;
    product_feed [1] "Feed for price comparison sites.":
        sku Sku, name Product, url Address, price Money, availability Status, category Product;
    data_quality [2] "Results of data quality checks.":
        day Day, rule Status, passed Flag, failing_rows Count, note Sentence;
    kpi_daily [2] "Key figures for the board.": day Day, metric Campaign, value Money, target Money;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_key_inside_its_columns_and_unique_column_names() {
        for kind in ENTITIES {
            assert!(kind.key >= 1 && kind.key <= kind.columns.len(), "{}", kind.name);
            let names: std::collections::BTreeSet<&str> = kind.columns.iter().map(|c| c.name).collect();
            assert_eq!(names.len(), kind.columns.len(), "{}", kind.name);
            assert!(std::ptr::eq(entity(kind.name), kind));
        }
    }
}
