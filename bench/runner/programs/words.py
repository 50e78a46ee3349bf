"""Objects, dictionaries, strings and JSON, as a script of daily life has them."""

import json
import sys


def main(rounds):
    total = 0
    for turn in range(rounds):
        people = [
            {"name": f"person {i}", "tags": [str(i + t) for t in range(i % 7)], "age": i % 90}
            for i in range(2000)
        ]
        text = json.dumps(people)
        again = json.loads(text)
        by_age = {}
        for person in again:
            by_age.setdefault(person["age"], []).append(person["name"].upper())
        line = ";".join(",".join(sorted(names)) for _, names in sorted(by_age.items()))
        total += len(line.split(",")) + len(text) + turn
    print(total)


main(int(sys.argv[1]))
