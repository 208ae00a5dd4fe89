//! Serves one case of the factory: `factory CODE [--workers N] [--slow-after MS] [--log PATH | --without]`.

use redhanded_factory::serve::{Options, serve};
use std::error::Error;
use std::process::ExitCode;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("factory: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let code = args.next().ok_or("which case? give its code, such as A1")?;
    let case = redhanded_factory::by_code(&code).ok_or_else(|| {
        let codes: Vec<&str> = redhanded_factory::all()
            .iter()
            .map(|case| case.code)
            .collect();
        format!("there is no case {code:?}; there are {}", codes.join(", "))
    })?;
    serve(&case, &Options::from_args(args)?)
}
