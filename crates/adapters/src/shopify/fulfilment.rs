//! Shopify's fulfilments, which it spells with two l.

use serde_json::value::RawValue;
use trunkline_sdk::proto::commerce::v1::{
    Fulfilment, FulfilmentLine, FulfilmentState, ShipmentStatus, Tracking,
};
use trunkline_sdk::webhook::NormalizeError;

use super::address::address;
use super::identity::{self, Identity};
use super::{PLATFORM, Shop};
use crate::fields::{Fields, Leftovers, timestamp};

const STATE: &[(&str, FulfilmentState)] = &[
    ("pending", FulfilmentState::Pending),
    ("open", FulfilmentState::Open),
    ("success", FulfilmentState::Succeeded),
    ("cancelled", FulfilmentState::Cancelled),
    ("error", FulfilmentState::Failed),
    ("failure", FulfilmentState::Failed),
];

const SHIPMENT: &[(&str, ShipmentStatus)] = &[
    ("label_printed", ShipmentStatus::LabelMade),
    ("label_purchased", ShipmentStatus::LabelMade),
    ("confirmed", ShipmentStatus::Confirmed),
    ("in_transit", ShipmentStatus::InTransit),
    ("out_for_delivery", ShipmentStatus::OutForDelivery),
    ("attempted_delivery", ShipmentStatus::DeliveryAttempted),
    ("ready_for_pickup", ShipmentStatus::ReadyForPickup),
    ("picked_up", ShipmentStatus::Delivered),
    ("delivered", ShipmentStatus::Delivered),
    ("failure", ShipmentStatus::Failed),
];

/// `fulfillments/create` and `update`, and the fulfilments inside an order.
pub(super) fn fulfilment(raw: &RawValue, shop: &Shop) -> Result<Fulfilment, NormalizeError> {
    let leftovers = Leftovers::default();
    let mut fields = Fields::open(raw, &leftovers)?;
    let Identity { id, platform_ids } = identity::required(&mut fields)?;
    let mut fulfilment = Fulfilment {
        id,
        platform_ids,
        test: shop.test,
        created_at: fields.time("created_at")?.map(timestamp),
        updated_at: fields.time("updated_at")?.map(timestamp),
        platform_status: fields.peek_text("status"),
        order_id: fields.id("order_id")?,
        name: fields.text("name"),
        state: fields.word("status", STATE).unwrap_or_default().into(),
        shipment_status: fields.word("shipment_status", SHIPMENT).unwrap_or_default().into(),
        tracking: tracking(&mut fields),
        service: fields.text("service"),
        location_id: fields.id("location_id")?,
        origin_address: address(&mut fields, "origin_address")?,
        shipping_address: address(&mut fields, "destination")?,
        email: fields.text("email"),
        ..Fulfilment::default()
    };
    for line in fields.objects("line_items") {
        fulfilment.lines.push(fulfilment_line(line)?);
    }
    drop(fields);
    fulfilment.platform_fields = leftovers.into_fields(PLATFORM);
    Ok(fulfilment)
}

fn fulfilment_line(mut fields: Fields<'_, '_>) -> Result<FulfilmentLine, NormalizeError> {
    let title = fields.text("title");
    fields.drop_repeated("name", title.as_deref());
    Ok(FulfilmentLine {
        line_item_id: identity::optional(&mut fields)?.map(|identity| identity.id),
        product_id: fields.id("product_id")?,
        variant_id: fields.id("variant_id")?,
        sku: fields.text("sku"),
        title,
        quantity: fields.read("quantity").unwrap_or_default(),
    })
}

/// One parcel per number; the lists repeat what the single fields say of the first.
fn tracking(fields: &mut Fields<'_, '_>) -> Vec<Tracking> {
    let carrier = fields.text("tracking_company");
    let mut numbers: Vec<String> = fields.read("tracking_numbers").unwrap_or_default();
    let mut urls: Vec<String> = fields.read("tracking_urls").unwrap_or_default();
    for (single, list) in [("tracking_number", &mut numbers), ("tracking_url", &mut urls)] {
        fields.drop_repeated(single, list.first().map(String::as_str));
        if list.is_empty() {
            list.extend(fields.text(single));
        }
    }
    let parcels = numbers.len().max(urls.len()).max(usize::from(carrier.is_some()));
    (0..parcels)
        .map(|parcel| Tracking {
            carrier: carrier.clone(),
            number: numbers.get(parcel).cloned(),
            url: urls.get(parcel).cloned(),
        })
        .collect()
}
