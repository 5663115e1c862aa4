::core::compile_error! {
    "a handler is a free function: state comes by `State<T>`"
}
async fn support(&self) {}
