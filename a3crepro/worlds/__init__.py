"""First-person worlds as plain Gymnasium environments: 84x84 RGB frames, drawn on the CPU without OpenGL.

    import gymnasium, a3crepro.worlds
    gymnasium.register_envs(a3crepro.worlds)  # the import registers them; the call tells linters that it is needed
    env = gymnasium.make("a3crepro/Labyrinth-v0", size=15)
    env = gymnasium.make("a3crepro/Racing-v0", track="oval", car={"top_speed": 40}, opponents={"number": 8})

The keyword arguments are the fields of `LabyrinthParameters` and `RacingParameters`.
"""

from gymnasium.envs.registration import register, registry

ENVIRONMENTS = {
    "a3crepro/Labyrinth-v0": "a3crepro.worlds.labyrinth:LabyrinthEnv",
    "a3crepro/Racing-v0": "a3crepro.worlds.racing:RacingEnv",
}


for env_id, entry_point in ENVIRONMENTS.items():
    if env_id not in registry:
        register(env_id, entry_point)
