# The verbs a person types. STACK names the stack (dev), ARGS goes on to the verb, PYTHON is the interpreter that starts it.
#   make up | preview | status | logs [SERVICE=web FOLLOW=yes LINES=50] | down
#   make config ARGS='set siteName "My site"'   make env   make migrate   make cancel
#   make flask [ARGS='users list']   (the app's own commands, where it runs)
#   make backup | backups [ARGS='verify ID']   (one now; the list, or: show, verify, drill, fetch, pin, unpin, prune)
#   make restore FILE=PATH | LATEST=1   make restores   make restore-undo   (a file or a backup becomes the live database; what was; back)
#   make pit | restore-pit TO="2026-11-22 14:05" | forget-volume NAME=database   (pitr: the database as it was at a moment)
#   make recovery-kit [TO=FILE] | recover KIT=FILE [IDENTITY=KEYFILE BACKUP=ID]   (losing the machine, and the way back)
#   make releases | rollback [ARGS='ID --with-downgrade'] | unpin   (former releases, and the way back to one)
#   make upgrade-images   (the distribution's security updates, as a release)
#   make maintenance [ON|OFF] [MESSAGE="Back soon" UNTIL="2026-11-25 22:00" ALLOW=203.0.113.0/24]
#   make destroy [DELETE_DATA=yes]
#   make cluster-up | cluster-down [DELETE_DATA=yes]   (a Kubernetes cluster on this machine; ARGS=tests: that of the tests)
#   make test [ARGS='setup app'] | test-long | test-official | check | bench
PYTHON ?= python3
VERBS = up preview down destroy logs status env config migrate flask backup backups restore restores restore-undo recovery-kit recover pit restore-pit forget-volume rollback unpin upgrade-images releases maintenance cancel cluster-up cluster-down test test-long test-official check bench
export STACK ARGS SERVICE FOLLOW LINES YES DELETE_DATA SWEEP MESSAGE UNTIL ALLOW TO NAME FILE LATEST KIT IDENTITY BACKUP

.PHONY: help ON OFF $(VERBS)
help: ; @sed -n 's/^#   //p' Makefile
# ON and OFF are words after a verb, and nothing by themselves.
$(VERBS): ; @$(PYTHON) -m operate $@ $(if $(filter maintenance,$@),$(filter ON OFF,$(MAKECMDGOALS)))
ON OFF: ; @$(if $(filter maintenance,$(MAKECMDGOALS)),:,echo "Say: make maintenance $@" >&2; exit 2)
