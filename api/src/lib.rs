//! What the outside sees: search, alerts, notifications.
