"""`python -m chaos` is `alexandria-chaos`."""

from chaos.command import main

raise SystemExit(main())
