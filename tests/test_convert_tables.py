"""Tables that an older version collected, with titles and variants, become tables with a run's settings as columns."""

import runpy
from pathlib import Path

convert = runpy.run_path(str(Path(__file__).resolve().parent.parent / "results" / "convert_tables.py"))["convert"]


def test_settings_become_columns_and_evaluations_get_their_spread(tmp_path):
    tables, run = tmp_path / "atari_games" / "laptop", "pong/a3c/threads=16,seed=1,algo.t_max=20"
    tables.mkdir(parents=True)
    (tables / "runs.csv").write_text(f'run,env,variant,seed,score\n"{run}",atari/pong,algo.t_max=20,1,-20.5\n')
    (tables / "scores.csv").write_text('""\n')
    rows = [f'atari/pong,algo.t_max=20,4000000,-20.5,sampled,"{run}"', f'atari/pong,algo.t_max=20,9,1,training,"{run}"']
    (tables / "unfinished.csv").write_text("\n".join(["env,variant,frames,score,score_type,run", *rows]) + "\n")
    directory = tmp_path / "runs" / run
    directory.mkdir(parents=True)
    (directory / "evaluations.csv").write_text("frames,score_mean,score_std,episodes\n4000000,-20.5,0.5,10\n")
    for _ in range(2):  # the second time there is nothing left to convert
        convert(tables, tmp_path / "runs")
        assert (tables / "runs.csv").read_text() == f'run,env,algo.t_max,seed,score\n"{run}",pong,20,1,-20.5\n'
        assert (tables / "unfinished.csv").read_text().splitlines() == [
            "env,algo.t_max,frames,score,score_type,run,score_std,episodes",
            f'pong,20,4000000,-20.5,sampled,"{run}",0.5,10',
            f'pong,20,9,1,training,"{run}",,',
        ]
        assert not (tables / "scores.csv").exists()
