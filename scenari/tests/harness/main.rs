//! The stage itself is sound: each real part starts, does its work, and misbehaves on request.

mod broker;
mod frozen_broker;
mod older_broker;
mod receivers;
mod sources;
mod unheard;
