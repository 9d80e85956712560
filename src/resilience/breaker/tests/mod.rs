//! The rules of the breaker as claims.
