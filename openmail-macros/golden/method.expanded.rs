::core::compile_error! {
    "methods and associated functions cannot be handlers: a handler is a free function and takes its state by `State<T>`"
}
async fn support(&self) {}
