::core::compile_error! {
    "methods and associated functions cannot be handlers: a handler is a free function that takes its state as a `State<T>`"
}
async fn support(&self) {}
