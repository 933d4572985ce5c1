//! The audit trail: what was done to the directory, by whom and to whom.
//!
//! Each line goes to the log (target `openred::audit`, level info, with the request's id around it) and into the database, where
//! the operator reads it (`GET /v1/admin/audit`). Lines hold peer ids, ids of ours and fixed words only.

use super::Shared;

/// Writes a line. If the database does not take it, the log still has it; the request does not fail for that.
pub(crate) async fn record(shared: &Shared, actor: &str, action: &'static str, subject: &str, detail: &str) {
    tracing::info!(target: "openred::audit", actor, action, subject, detail, "audit");
    if let Err(error) = shared.directory.registry.audit(actor, action, subject, detail).await {
        tracing::warn!(target: "openred::audit", %error, action, "a line of the audit trail was not kept");
    }
}
