//! The API described for machines (OpenAPI 3.1), generated from the handlers and their types.

use serde_json::{Value, json};
use utoipa::OpenApi;

use super::{docs, page, problem::Document};

/// What the handlers cannot say about themselves.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "OpenRed relay",
        description = "The HTTP side of an OpenRed relay. Peer-to-peer traffic runs over WebSocket on the same port. All times \
            are milliseconds since the Unix epoch; peer ids are written in base58; bytes in JSON are base64url without padding.",
        license(name = "MIT", identifier = "MIT")
    ),
    paths(page::npm_file, docs::answer),
    components(schemas(Document<'static>)),
    tags(
        (name = "nodes", description = "Who is there"),
        (name = "services", description = "What is offered"),
        (name = "tokens", description = "Proving a peer id, and tokens about it"),
        (name = "watch", description = "Changes as they happen"),
        (name = "routing", description = "Delegated routing (specs.ipfs.tech, http-routing-v1)"),
        (name = "relay", description = "The relay itself"),
        (name = "admin", description = "For the operator, with the admin token"),
    )
)]
struct Api;

/// The document before any route is in it.
pub(crate) fn base() -> utoipa::openapi::OpenApi {
    let mut document = Api::openapi();
    document.info.version = env!("CARGO_PKG_VERSION").to_owned();
    document
}

/// The document with all its routes as JSON. Every operation may fail with a problem document.
pub(crate) fn complete(document: utoipa::openapi::OpenApi) -> Vec<u8> {
    let mut document = serde_json::to_value(document).expect("the document is JSON");
    document["components"]["responses"]["Problem"] = json!({
        "description": "A failure (RFC 9457)",
        "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } }
    });
    document["components"]["securitySchemes"] = json!({
        "peerId": scheme("libp2p-PeerID", "libp2p's HTTP peer-id authentication (libp2p/specs, http/peer-id-auth.md)"),
        "bearer": scheme("bearer", "An access token of POST /v1/tokens"),
        "admin": scheme("bearer", "The operator's token (--admin-token-file)"),
    });
    let paths = document["paths"].as_object_mut().expect("there are paths");
    let operations = paths.values_mut().filter_map(Value::as_object_mut).flat_map(|path| path.values_mut());
    for responses in operations.filter_map(|operation| operation.get_mut("responses")?.as_object_mut()) {
        responses.insert("default".to_owned(), json!({ "$ref": "#/components/responses/Problem" }));
    }
    serde_json::to_vec(&document).expect("the document is JSON")
}

fn scheme(name: &str, description: &str) -> Value {
    json!({ "type": "http", "scheme": name, "description": description })
}
