"""Does one thing with the DAG in a file and prints the outcome as its last lines; runs where Airflow is installed.

python schedulers_airflow.py FILE test|execute|commands
"""

import runpy
import subprocess
import sys


def main(file: str, wish: str) -> None:
    """Do what is wished for."""
    if wish == "test":
        subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True, capture_output=True)
    dag = runpy.run_path(file)["dag"]
    if wish == "test":
        run = dag.test()
        tasks = (f"{task.task_id}={task.state}" for task in run.get_task_instances())
        print(run.state, *tasks)  # noqa: T201
    elif wish == "execute":
        (task,) = dag.tasks
        try:
            task.execute({})
        except Exception as error:  # noqa: BLE001  # its kind is what is asked for
            print(f"{type(error).__name__}: {error}")  # noqa: T201
        else:
            print("success")  # noqa: T201
    else:
        for task in dag.tasks:
            print(task.task_id, *task.arguments)  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
