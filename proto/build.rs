//! Generates the message types from `beacon/v1/*.proto` with protox, so that no protoc is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = ["alert", "plan", "silence", "notification", "internal"].map(|name| format!("beacon/v1/{name}.proto"));
    for file in &files {
        println!("cargo:rerun-if-changed={file}");
    }
    prost_build::Config::new()
        // Sorted maps: equal messages have equal bytes, which ids and replay rely on.
        .btree_map(["."])
        // JSON with the same field names, for people who write or read records by hand.
        .type_attribute(".", "#[derive(serde::Serialize, serde::Deserialize)]")
        .message_attribute(".", "#[serde(default, deny_unknown_fields)]")
        .compile_fds(protox::compile(&files, ["."])?)?;
    Ok(())
}
