//! Shopify's products.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use trunkline_sdk::proto::commerce::v1::{Image, Product, ProductOption, ProductStatus, Variant};
use trunkline_sdk::webhook::NormalizeError;

use super::identity::{self, Identity};
use super::price::price;
use super::{PLATFORM, Shop, tags};
use crate::fields::{Fields, Leftovers, timestamp};
use crate::money::Currency;

const STATUS: &[(&str, ProductStatus)] = &[
    ("active", ProductStatus::Active),
    ("draft", ProductStatus::Draft),
    ("archived", ProductStatus::Archived),
];

/// `inventory_policy`: whether a variant may be sold when none is left.
const POLICY: &[(&str, bool)] = &[("continue", true), ("deny", false)];

/// `products/create`, `update` and `delete`; a deleted one has its id only. Shopify does not name the currency of a
/// product's prices: it is the shop's, which the source's settings may tell.
pub(super) fn product(raw: &RawValue, shop: &Shop) -> Result<Product, NormalizeError> {
    let leftovers = Leftovers::default();
    let mut fields = Fields::open(raw, &leftovers)?;
    let Identity { id, platform_ids } = identity::required(&mut fields)?;
    let currency = shop.currency(&mut fields, "currency")?;
    let options: Vec<ProductOption> = fields.objects("options").into_iter().filter_map(option).collect();
    let mut product = Product {
        id,
        platform_ids,
        test: shop.test,
        created_at: fields.time("created_at")?.map(timestamp),
        updated_at: fields.time("updated_at")?.map(timestamp),
        platform_status: fields.peek_text("status"),
        title: fields.text("title"),
        description_html: fields.text("body_html"),
        handle: fields.text("handle"),
        product_type: fields.text("product_type"),
        vendor: fields.text("vendor"),
        status: fields.word("status", STATUS).unwrap_or_default().into(),
        published_at: fields.time("published_at")?.map(timestamp),
        tags: tags(&mut fields),
        ..Product::default()
    };
    for fields in fields.objects("variants") {
        product.variants.push(variant(fields, &options, &currency)?);
    }
    for fields in fields.objects("images") {
        product.images.push(image(fields)?);
    }
    drop(fields);
    product.options = options;
    product.platform_fields = leftovers.into_fields(PLATFORM);
    Ok(product)
}

fn option(mut fields: Fields<'_, '_>) -> Option<ProductOption> {
    Some(ProductOption { name: fields.text("name")?, values: fields.read("values").unwrap_or_default() })
}

fn variant(
    mut fields: Fields<'_, '_>,
    options: &[ProductOption],
    currency: &Currency,
) -> Result<Variant, NormalizeError> {
    let Identity { id, platform_ids } = identity::required(&mut fields)?;
    let chosen: BTreeMap<String, String> = (1..)
        .zip(options)
        .filter_map(|(place, option)| Some((option.name.clone(), fields.text(&format!("option{place}"))?)))
        .collect();
    Ok(Variant {
        id,
        platform_ids,
        sku: fields.text("sku"),
        barcode: fields.text("barcode"),
        title: fields.text("title"),
        options: chosen,
        price: price(&mut fields, "price", currency)?,
        compare_at_price: price(&mut fields, "compare_at_price", currency)?,
        cost: None,
        weight_grams: fields.read("grams"),
        requires_shipping: fields.read("requires_shipping"),
        taxable: fields.read("taxable"),
        inventory_item_id: fields.id("inventory_item_id")?,
        inventory_quantity: fields.read("inventory_quantity"),
        sell_when_out_of_stock: fields.word("inventory_policy", POLICY),
        position: fields.read("position"),
        created_at: fields.time("created_at")?.map(timestamp),
        updated_at: fields.time("updated_at")?.map(timestamp),
    })
}

fn image(mut fields: Fields<'_, '_>) -> Result<Image, NormalizeError> {
    let variant_ids: Option<Vec<u64>> = fields.read("variant_ids");
    Ok(Image {
        id: identity::optional(&mut fields)?.map(|identity| identity.id),
        url: fields.text("src"),
        alt: fields.text("alt"),
        position: fields.read("position"),
        width: fields.read("width"),
        height: fields.read("height"),
        variant_ids: variant_ids.unwrap_or_default().iter().map(u64::to_string).collect(),
    })
}
