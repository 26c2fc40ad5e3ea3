-- Another transaction of a rehearsal may go on in this one: what it writes without being a stage is not noted.
SELECT seal_written();
SET LOCAL apex.stage = 'off'
