//! The rules against a naive evaluator, and each kind of condition by itself.

mod grpc;
mod naive;
mod parts;
