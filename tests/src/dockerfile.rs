//! The Dockerfile as Docker reads it: what its last stage says of the image.

use std::collections::BTreeMap;

use parse_dockerfile::{Command, HealthcheckArguments, Instruction, UnescapedString};

use crate::workspace;

/// What the last stage says.
#[derive(Debug, Default)]
pub struct Dockerfile {
    /// The image that it builds on.
    pub from: String,
    /// Who runs in the container.
    pub user: String,
    /// Environment variables.
    pub environment: BTreeMap<String, String>,
    /// Ports that containers may be reached at.
    pub exposed: Vec<u16>,
    /// What every container runs.
    pub entrypoint: Vec<String>,
    /// What the entry point is given where nothing else is said.
    pub command: Vec<String>,
    /// What asks a container for its health.
    pub health: Vec<String>,
    /// `interval` and the others of the health check.
    pub health_options: BTreeMap<String, String>,
}

impl Dockerfile {
    /// Reads the file of the workspace.
    pub fn read() -> Self {
        let text = workspace::read("Dockerfile");
        let file = parse_dockerfile::parse(&text).unwrap();
        let stage = file.stages().last().unwrap();
        let mut read = Self { from: stage.from.image.value.to_string(), ..Self::default() };
        stage.instructions.iter().for_each(|instruction| read.takes(instruction));
        read
    }

    fn takes(&mut self, instruction: &Instruction<'_>) {
        match instruction {
            Instruction::User(user) => self.user = user.arguments.value.to_string(),
            Instruction::Env(env) => {
                let pairs = env.arguments.value.split_whitespace().filter_map(|pair| pair.split_once('='));
                self.environment.extend(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
            }
            Instruction::Expose(expose) => {
                self.exposed.extend(expose.arguments.iter().map(|port| port.value.parse::<u16>().unwrap()));
            }
            Instruction::Entrypoint(entrypoint) => self.entrypoint = words(&entrypoint.arguments),
            Instruction::Cmd(command) => self.command = words(&command.arguments),
            Instruction::Healthcheck(check) => {
                let HealthcheckArguments::Cmd { arguments, .. } = &check.arguments else { return };
                self.health = words(arguments);
                let text = |text: &UnescapedString<'_>| text.value.to_string();
                let options = check.options.iter();
                self.health_options = options
                    .map(|flag| (text(&flag.name), flag.value.as_ref().map(text).unwrap_or_default()))
                    .collect();
            }
            _ => {}
        }
    }
}

/// Only the form without a shell: there is none in the image.
fn words(command: &Command<'_>) -> Vec<String> {
    match command {
        Command::Exec(words) => words.value.iter().map(|word| word.value.to_string()).collect(),
        other => panic!("the image has no shell for {other:?}"),
    }
}
