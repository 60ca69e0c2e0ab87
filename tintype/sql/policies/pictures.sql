-- Users remove their pictures by the function, which removes the objects as well.
revoke all on function tintype.remove_generations(uuid[], uuid) from public;
grant execute on function tintype.remove_generations(uuid[], uuid) to service_role;
