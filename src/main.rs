//! How is it all put together?
fn main() {}
