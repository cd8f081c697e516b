//! Events to alerts: Sigma, correlation, zone policy.
