"""The demo: a model server, observed by one decorator per model version, predicts delays of real flights.

    flights    the flights and the weather of New York's airports in early 2013, joined
    model      a flight's features, and the two versions of the model that predict a late arrival
    incidents  what goes wrong, from which moment of event time on
    server     the model server: the example to read
    replay     the HTTP client that replays the flights in event order
    flight     all of it, one after the other: train, serve, replay, diagnose

A package of its own, not a part of the library: it uses Radiosonde as any other program would, through its public names.
``radiosonde demo`` runs it.
"""
