//! Room: azure.
