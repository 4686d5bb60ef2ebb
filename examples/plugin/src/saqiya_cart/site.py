"""A cart on a rail pushes a crate to a mark. It can push, not pull: a crate pushed too far is lost.

Metres, seconds, newtons along the rail. The motor gives up to 10 N; the cart (1 kg) rolls with 1 N s/m, the crate
(0.5 to 2.2 kg) rubs with 0.3 of its weight. They move as one from where they meet until the cart brakes.
"""

import numpy as np

from saqiya.domain.contracts import Observation, SiteSpec, Snapshot, Step, Vector
from saqiya.domain.streams import Start

PERIOD_S, MOTOR_N, CART_KG, ROLL_N_S_M, RUB_M_S2, NEAR_M = 0.05, 10.0, 1.0, 1.0, 0.3 * 9.81, 0.02
AT_REST = {"cart_m": 0.0, "cart_m_s": 0.0, "crate_m_s": 0.0, "phase": 0.0, "steps": 0.0}


class Cart:
    """Observation: "cart" (m, m/s), "crate" (m from cart, m/s, kg), "mark" (m from crate). Action: motor, -1 to 1."""

    spec = SiteSpec(
        name="cart",
        task="push-crate",
        criterion="at-rest-within-20mm",
        embodiment="rail-cart",
        observation={"cart": 2, "crate": 3, "mark": 1},
        action_low=-np.ones(1),
        action_high=np.ones(1),
        rate_hz=1 / PERIOD_S,
        phases=("touch", "push"),
        factors={"crate_m": (0.2, 0.5), "mark_m": (0.8, 1.5), "load_kg": (0.5, 2.2)},
        horizon_steps=100,
    )

    def sample_start(self, seed: int, *, region: float = 1.0) -> Start:
        """Draw every factor uniformly from the middle `region` of its range."""
        share = np.random.default_rng(seed).uniform(0.5 - region / 2, 0.5 + region / 2, len(self.spec.factors))
        drawn = zip(self.spec.factors.items(), share.tolist(), strict=True)
        return Start(seed, {name: low + part * (high - low) for (name, (low, high)), part in drawn})

    def reset(self, start: Start) -> Step:
        """Put the cart at 0, crate and mark where `start` says."""
        self.at = AT_REST | {name: float(value) for name, value in start.factors.items()}
        return self._seen(())

    def step(self, action: Vector) -> Step:
        """Run the motor for one period."""
        at, load_kg = self.at, self.at["load_kg"]
        drive_n = MOTOR_N * float(np.clip(action[0], -1.0, 1.0)) - ROLL_N_S_M * at["cart_m_s"]
        cart_m_s = at["cart_m_s"] + PERIOD_S * drive_n / CART_KG
        crate_m_s = max(0.0, at["crate_m_s"] - PERIOD_S * RUB_M_S2)
        touch = at["cart_m"] + PERIOD_S * cart_m_s > at["crate_m"] + PERIOD_S * crate_m_s
        if touch:
            momentum = drive_n * PERIOD_S + CART_KG * at["cart_m_s"] + load_kg * (at["crate_m_s"] - RUB_M_S2 * PERIOD_S)
            cart_m_s = crate_m_s = max(0.0, momentum / (CART_KG + load_kg))
        crate_m = at["crate_m"] + PERIOD_S * crate_m_s
        cart_m = min(at["cart_m"] + PERIOD_S * cart_m_s, crate_m)
        reached = 2.0 if crate_m_s > 0 else float(touch)
        events = tuple(f"phase/{name}" for name in self.spec.phases[int(at["phase"]) : int(reached)])
        at |= {"cart_m": cart_m, "cart_m_s": cart_m_s, "crate_m": crate_m, "crate_m_s": crate_m_s}
        at |= {"phase": max(at["phase"], reached), "steps": at["steps"] + 1}
        return self._seen(events)

    def snapshot(self) -> Snapshot:
        """Return the whole state."""
        return {name: np.array(value) for name, value in self.at.items()}

    def restore(self, snapshot: Snapshot) -> Step:
        """Put the state back."""
        self.at = {name: float(value) for name, value in snapshot.items()}
        return self._seen(())

    def expert(self, seed: int) -> "Driver":  # noqa: ARG002 - this one does not tremble
        """Return the scripted driver."""
        return Driver()

    def close(self) -> None:
        """Nothing is held."""

    def _seen(self, events: tuple[str, ...]) -> Step:
        at, left_m = self.at, self.at["mark_m"] - self.at["crate_m"]
        crate = np.array([at["crate_m"] - at["cart_m"], at["crate_m_s"], at["load_kg"]])
        seen = {"cart": np.array([at["cart_m"], at["cart_m_s"]]), "crate": crate, "mark": np.array([left_m])}
        there = abs(left_m) < NEAR_M and at["crate_m_s"] == 0.0
        return Step(observation=seen, success=there, t_ns=round(at["steps"] * PERIOD_S * 1e9), events=events)


class Driver:
    """The scripted driver: up to the crate, push it at a speed that falls with the way left, brake at the mark."""

    name = "cart-driver"

    def act(self, observation: Observation) -> Vector:
        """Return the motor's share: what rubbing and rolling take, and what the wanted change of speed takes."""
        (_, speed_m_s), (gap_m, _, load_kg), (left_m,) = (observation[name] for name in Cart.spec.observation)
        pushing, done = gap_m < NEAR_M, left_m < 0.008
        wanted_m_s = 0.0 if done else min(0.6, 1.5 * left_m + 0.02 if pushing else 2.0 * gap_m + 0.1)
        loaded_kg = load_kg if pushing and not done else 0.0
        push_n = RUB_M_S2 * loaded_kg + 6.0 * (CART_KG + loaded_kg) * (wanted_m_s - speed_m_s)
        return np.array([min(1.0, max(-1.0, (push_n + ROLL_N_S_M * speed_m_s) / MOTOR_N))])
