//! The ids of Shopify's objects.

use trunkline_sdk::proto::types::v1::PlatformId;
use trunkline_sdk::webhook::NormalizeError;

use super::PLATFORM;
use crate::fields::Fields;

/// The ids of one object.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Identity {
    pub(super) id: String,
    pub(super) platform_ids: Vec<PlatformId>,
}

/// Reads `id` and `admin_graphql_api_id`. Where both are there the latter decides: ids have up to 19 digits, and what
/// carries JSON numbers as binary fractions rounds them.
pub(super) fn optional(fields: &mut Fields<'_, '_>) -> Result<Option<Identity>, NormalizeError> {
    let number = fields.id("id")?;
    let global = fields.text("admin_graphql_api_id");
    let exact = global.as_deref().and_then(tail).map(str::to_owned);
    let Some(id) = exact.or(number) else { return Ok(None) };
    let platform_id = |kind: &str, id: &str| PlatformId {
        platform: PLATFORM.to_owned(),
        kind: kind.to_owned(),
        id: id.to_owned(),
        url: None,
    };
    let mut platform_ids = vec![platform_id("id", &id)];
    platform_ids.extend(global.map(|global| platform_id("admin_graphql_api_id", &global)));
    Ok(Some(Identity { id, platform_ids }))
}

/// As [`optional`], of an object that is nothing without an id.
pub(super) fn required(fields: &mut Fields<'_, '_>) -> Result<Identity, NormalizeError> {
    optional(fields)?.ok_or_else(|| fields.wrong("id", "missing"))
}

/// The number at the end of a global id such as `gid://shopify/Order/820982911946154508`.
pub(super) fn tail(global: &str) -> Option<&str> {
    let tail = global.strip_prefix("gid://shopify/")?.rsplit('/').next()?;
    (!tail.is_empty() && tail.bytes().all(|byte| byte.is_ascii_digit())).then_some(tail)
}
