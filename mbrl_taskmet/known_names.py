"""What the dimensions of Gymnasium's own environments mean."""

CART_POLE = ("cart_position", "cart_velocity", "pole_angle", "pole_angular_velocity")
_ACROBOT = (
    "cos_angle_1",
    "sin_angle_1",
    "cos_angle_2",
    "sin_angle_2",
    "angular_velocity_1",
    "angular_velocity_2",
)
_PENDULUM = ("cos_angle", "sin_angle", "angular_velocity")
_MOUNTAIN_CAR = ("car_position", "car_velocity")
_INVERTED_PENDULUM = ("cart_position", "pole_angle", "cart_velocity", "pole_angular_velocity")
_HOPPER = (
    "torso_height",
    "torso_angle",
    "thigh_angle",
    "leg_angle",
    "foot_angle",
    "forward_velocity",
    "upward_velocity",
    "torso_angular_velocity",
    "thigh_angular_velocity",
    "leg_angular_velocity",
    "foot_angular_velocity",
)
_HALF_CHEETAH = (
    "torso_height",
    "torso_angle",
    "back_thigh_angle",
    "back_shin_angle",
    "back_foot_angle",
    "front_thigh_angle",
    "front_shin_angle",
    "front_foot_angle",
    "forward_velocity",
    "upward_velocity",
    "torso_angular_velocity",
    "back_thigh_angular_velocity",
    "back_shin_angular_velocity",
    "back_foot_angular_velocity",
    "front_thigh_angular_velocity",
    "front_shin_angular_velocity",
    "front_foot_angular_velocity",
)

KNOWN_NAMES: dict[str, tuple[str, ...]] = {
    "gymnasium.envs.classic_control.cartpole:CartPoleEnv": CART_POLE,
    "gymnasium.envs.classic_control.acrobot:AcrobotEnv": _ACROBOT,
    "gymnasium.envs.classic_control.pendulum:PendulumEnv": _PENDULUM,
    "gymnasium.envs.classic_control.mountain_car:MountainCarEnv": _MOUNTAIN_CAR,
    "gymnasium.envs.classic_control.continuous_mountain_car:Continuous_MountainCarEnv": (
        _MOUNTAIN_CAR
    ),
    "gymnasium.envs.mujoco.inverted_pendulum_v4:InvertedPendulumEnv": _INVERTED_PENDULUM,
    "gymnasium.envs.mujoco.inverted_pendulum_v5:InvertedPendulumEnv": _INVERTED_PENDULUM,
    "gymnasium.envs.mujoco.hopper_v5:HopperEnv": _HOPPER,
    "gymnasium.envs.mujoco.half_cheetah_v5:HalfCheetahEnv": _HALF_CHEETAH,
}
"""By module and class of the environment. Not by id, since one inside a wrapper may have no id yet;
and by module too, since a user's own `PendulumEnv` may order its dimensions differently."""
