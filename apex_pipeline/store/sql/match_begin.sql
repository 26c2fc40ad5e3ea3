-- Sorts and hashes of a whole history belong into memory; what is more goes to disk.
SET LOCAL work_mem = '128MB'
