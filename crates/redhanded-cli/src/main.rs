//! The `redhanded` command; what it does is documented in `redhanded_cli`.

fn main() -> std::process::ExitCode {
    redhanded_cli::run()
}
