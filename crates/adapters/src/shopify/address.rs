//! Shopify's addresses.

use trunkline_sdk::proto::types::v1::Address;
use trunkline_sdk::webhook::NormalizeError;

use crate::fields::Fields;

/// Reads the address `name`.
pub(super) fn address(fields: &mut Fields<'_, '_>, name: &str) -> Result<Option<Address>, NormalizeError> {
    fields.object(name).map(read).transpose()
}

/// Reads a list of addresses.
pub(super) fn addresses(fields: &mut Fields<'_, '_>, name: &str) -> Result<Vec<Address>, NormalizeError> {
    fields.objects(name).into_iter().map(read).collect()
}

fn read(mut fields: Fields<'_, '_>) -> Result<Address, NormalizeError> {
    let country = fields.text("country");
    fields.drop_repeated("country_name", country.as_deref());
    Ok(Address {
        id: fields.id("id")?,
        name: fields.text("name"),
        first_name: fields.text("first_name"),
        last_name: fields.text("last_name"),
        company: fields.text("company"),
        line1: fields.text("address1"),
        line2: fields.text("address2"),
        city: fields.text("city"),
        region: fields.text("province"),
        region_code: fields.text("province_code"),
        postal_code: fields.text("zip"),
        country,
        country_code: fields.text("country_code"),
        phone: fields.text("phone"),
        email: fields.text("email"),
    })
}
