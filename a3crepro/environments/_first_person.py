"""Configuration of the first-person worlds of `a3crepro.worlds`."""

from typing import ClassVar

from a3crepro.environments._environment import NormalisableEnvironment
from a3crepro.worlds.first_person import FirstPersonEnv, WorldParameters


class FirstPerson(WorldParameters, NormalisableEnvironment):
    """A world; its fields are the keyword arguments of `env_class`."""

    has_keyboard_controls: ClassVar[bool] = True
    env_class: ClassVar[type[FirstPersonEnv]]

    def make(self, *, training: bool, render: bool = False) -> FirstPersonEnv:
        parameters = self.model_dump(include=set(self.env_class.parameters_class.model_fields))
        return self.env_class("rgb_array" if render else None, **parameters)

    def make_headless(self) -> FirstPersonEnv:
        env = self.make(training=False)
        env.headless = True
        return env
